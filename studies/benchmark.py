"""What a MIPNet costs on a CPU beside its stock network: time, memory, multiply-adds.

The MIPNets are those of mipnet mipnetify, with random weights on random crops. In every
round the networks run one after the other; a figure is the median over the rounds of
time / time of the stock network in the same round. A training step is forward, backward
and optimizer; its memory is the peak of a process of its own (Linux). Run it with
OMP_NUM_THREADS=1. Writes OUT, a CSV file. studies/gpu.sh is for a GPU.
"""

import argparse
import csv
import os
import re
import subprocess
import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import mipnet_mmpose  # noqa: F401 (before mmpose.models)

# isort: split
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS

from mipnet_mmpose.comparison.cost import Network, count_multiply_adds, time_in_turn
from mipnet_mmpose.mipnetify import crop_size, mipnetify
from mipnet_mmpose.mmpose_files import find_config

NETWORKS = [
    'td-hm_hrnet-w32_8xb64-210e_coco-256x192',
    'td-hm_hrnet-w48_8xb32-210e_coco-384x288',
    'td-hm_res50_8xb64-210e_coco-256x192',
    'td-hm_ViTPose-base_8xb64-210e_coco-256x192',
    'rtmpose-m_8xb256-420e_coco-256x192',
]
VARIANTS = {
    'stock': {},
    'N = 2': dict(num_instances=2, where='backbone'),
    'N = 4': dict(num_instances=4, where='backbone'),
    'N = 2, MIMBNeck': dict(num_instances=2, where='neck'),
}
COLUMNS = ['network', 'variant', 'parameters', 'multiply-adds']
COLUMNS += ['time', 'step', 'memory']


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('--networks', nargs='+', default=NETWORKS, metavar='NAME', help='stock configs')
    add('--batch', type=int, default=8, help='crops (default: 8)')
    add('--rounds', type=int, default=11, help='(default: 11)')
    add('--out', type=Path, default=Path('work_dirs/benchmark.csv'), help='CSV file')
    add('--peak-of', choices=VARIANTS, help='print the bytes of a step alone')
    return parser.parse_args(argv)


def build(name, variant, batch):
    """A network and random crops."""
    cfg = Config.fromfile(find_config(name))
    cfg.model.backbone.init_cfg = None  # nothing is downloaded
    images = torch.randn(batch, 3, *crop_size(cfg)[::-1])
    if VARIANTS[variant]:
        cfg = mipnetify(cfg, **VARIANTS[variant])
    return Network(MODELS.build(cfg.model)).eval(), images


def training_step(network, optimizer, images):
    output = network.train()(images)
    parts = output if isinstance(output, (tuple, list)) else [output]
    optimizer.zero_grad()
    sum(part.square().mean() for part in parts).backward()
    optimizer.step()


def peak(name, variant, batch):
    """Bytes that two training steps add to the resident memory of this process."""

    def resident():  # not getrusage, which begins with the process before exec
        status = Path('/proc/self/status').read_text()
        return 1024 * int(re.search(r'VmHWM:\s+(\d+) kB', status)[1])

    before = resident()
    network, images = build(name, variant, batch)
    optimizer = torch.optim.Adam(network.parameters())
    for _ in range(2):  # the optimizer has its state after the first
        training_step(network, optimizer, images)
    return resident() - before


def lines_of(name, args):
    """A line of the table for each variant; all but counts as ratios."""
    forward, steps, lines = {}, {}, {}
    for variant in VARIANTS:
        network, images = build(name, variant, args.batch)
        command = [sys.executable, __file__, '--networks', name, '--peak-of', variant]
        # small blocks go back to the system too, so that the peak is what is in use
        env = dict(os.environ, MALLOC_MMAP_THRESHOLD_='65536')
        command += ['--batch', str(args.batch)]
        lines[variant] = dict(
            parameters=sum(weight.numel() for weight in network.parameters()),
            memory=int(subprocess.check_output(command, env=env).split()[-1]),
        )
        lines[variant]['multiply-adds'] = count_multiply_adds(network, images[:1])
        optimizer = torch.optim.Adam(network.parameters())
        steps[variant] = partial(training_step, network, optimizer, images)
        forward[variant] = partial(network, images)
    with torch.no_grad():
        times = dict(time=time_in_turn(forward, args.rounds))
    times['step'] = time_in_turn(steps, args.rounds)
    for variant, line in lines.items():
        for key, seconds in times.items():
            line[key] = round(np.median(seconds[variant] / seconds['stock']), 3)
        yield dict(line, network=name, variant=variant)


def main(argv=None):
    args = parse_args(argv)
    init_default_scope('mmpose')
    torch.manual_seed(0)
    if args.peak_of:
        print(peak(args.networks[0], args.peak_of, args.batch))
        return
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with args.out.open('w', newline='') as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for name in args.networks:
            for line in lines_of(name, args):
                writer.writerow(line)
                file.flush()
                print(line)
    print(args.out)


if __name__ == '__main__':
    main()
