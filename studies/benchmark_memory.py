"""Bytes that two training steps take at their peak, the model included.

The process does nothing else, so that the peak is theirs: what they add to its resident
memory (CPU, Linux), or allocate (GPU). Prints the number.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

import clone  # noqa: F401 (the package beside it)

# isort: split
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, MODELS


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('config', type=Path, help='file of a config')
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cpu')
    parser.add_argument('--batch', type=int, default=8, help='default: 8')
    return parser.parse_args()


def training_step(cfg, batch, device, **optim_wrapper):
    """A model and a call that trains it for a step."""
    model = MODELS.build(cfg.model).to(device).train()
    optim_wrapper = build_optim_wrapper(model, dict(cfg.optim_wrapper, **optim_wrapper))
    return model, partial(model.train_step, batch, optim_wrapper)


def training_batch(cfg, size):
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    return pseudo_collate([dataset[i % len(dataset)] for i in range(size)])


def peak_memory(cfg, args):
    """What this script prints of a config."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, 'config.py')
        cfg.dump(file)
        command = [sys.executable, __file__, file]
        command += ['--device', args.device, '--batch', args.batch]
        # small blocks go back to the system too, so that the peak is what is in use
        env = dict(os.environ, MALLOC_MMAP_THRESHOLD_='65536')
        output = subprocess.check_output(list(map(str, command)), env=env)
    return int(output.split()[-1])


def measure(cfg, args):
    batch = training_batch(cfg, args.batch)
    before = resident_peak()
    step = training_step(cfg, batch, args.device)[1]
    for _ in range(2):  # the optimizer has its state after the first
        step()
    if args.device == 'cuda':
        return torch.cuda.max_memory_allocated()
    return resident_peak() - before


def resident_peak():
    # not getrusage: its ru_maxrss begins with that of the process before exec
    status = Path('/proc/self/status').read_text()
    return 1024 * int(re.search(r'VmHWM:\s+(\d+) kB', status)[1])


def main():
    args = parse_args()
    init_default_scope('mmpose')
    torch.manual_seed(0)
    print(measure(Config.fromfile(args.config), args))


if __name__ == '__main__':
    main()
