"""What a MIPNet costs beside its stock network: time, memory, multiply-adds.

Of inference and of a training step (forward, backward, Adam, in one process of DDP).
The MIPNets are those of mipnet mipnetify, with random weights; the crops are of made-up
people, through the config's own pipeline. In every round
the networks run one after the other, and a ratio is the median over the rounds of
time / time of the stock network in the same round. MiB is the peak of a call beside
what was there before, on a GPU. Writes each row into OUT, a CSV file, once it is
measured. On a CPU run it with OMP_NUM_THREADS=1.
"""

import argparse
import copy
import csv
import itertools
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import mipnet_mmpose  # noqa: F401 (before mmpose.models)

# isort: split
import numpy as np
import torch
import torch.distributed as dist
from made_up_samples import with_made_up_people
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.model import MMDistributedDataParallel
from mmengine.optim import AmpOptimWrapper, OptimWrapper
from mmengine.registry import init_default_scope
from mmengine.runner import set_random_seed
from mmpose.registry import DATASETS, MODELS

from mipnet_mmpose.comparison.cost import Network, count_multiply_adds, time_in_turn
from mipnet_mmpose.mipnetify import mipnetify
from mipnet_mmpose.mmpose_files import find_config

NETWORKS = [
    'td-hm_hrnet-w32_8xb64-210e_coco-256x192',
    'td-hm_hrnet-w48_8xb32-210e_coco-384x288',
    'td-hm_res50_8xb64-210e_coco-256x192',
    'td-hm_ViTPose-base_8xb64-210e_coco-256x192',
    'rtmpose-m_8xb256-420e_coco-256x192',
]
MODES = ['float32', 'AMP', 'compiled']  # the last with AMP
VARIANTS = {
    'stock': {},
    'N = 1': dict(num_instances=1, where='backbone'),
    'N = 2': dict(num_instances=2, where='backbone'),
    'N = 4': dict(num_instances=4, where='backbone'),
    'N = 2, MIMBNeck': dict(num_instances=2, where='neck'),
}
COLUMNS = ['device', 'network', 'mode', 'task', 'variant', 'parameters']
COLUMNS += ['multiply-adds', 'ms', 'ratio', 'MiB', 'first loss', 'last loss']


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add('--networks', nargs='+', default=NETWORKS, metavar='NAME', help='stock configs')
    add('--variants', nargs='+', default=list(VARIANTS), choices=VARIANTS)
    add('--modes', nargs='+', default=['float32'], choices=MODES)
    add('--tasks', nargs='+', default=list(TASKS), choices=TASKS)
    add('--device', default='cpu')
    add('--batch', type=int, default=8, help='crops (default: 8)')
    add('--rounds', type=int, default=11, help='(default: 11)')
    add('--out', type=Path, default=Path('work_dirs/cost.csv'), help='CSV file')
    return parser.parse_args(argv)


def build(args, name, variant, mode):
    """A model and a batch, as the config's own pipeline makes it."""
    cfg = Config.fromfile(find_config(name))
    cfg.model.backbone.init_cfg = None  # nothing is downloaded
    if VARIANTS[variant]:
        cfg = mipnetify(cfg, **VARIANTS[variant])
    set_random_seed(0)
    model = MODELS.build(cfg.model).to(args.device)
    if mode == 'compiled':
        # else what is compiled for the stock network runs here too, without MIMBs
        torch._dynamo.config.skip_nnmodule_hook_guards = False
        # a compiler takes minutes on a CPU
        backend = 'inductor' if args.device == 'cuda' else 'eager'
        model.backbone.compile(backend=backend)
    with tempfile.TemporaryDirectory() as folder:
        people = with_made_up_people(cfg.train_dataloader.dataset, Path(folder))
        person = DATASETS.build(people)[0]
    batch = pseudo_collate([copy.deepcopy(person) for _ in range(args.batch)])
    return model, model.data_preprocessor(batch, training=True)


def inference(args, model, batch, mode):
    """A call that runs the network on the crops."""
    network = Network(model.eval())

    def call():
        with torch.no_grad(), torch.autocast(args.device, enabled=mode != 'float32'):
            network(batch['inputs'])

    return call


def step(args, model, batch, mode):
    """A call that makes a training step and returns its loss."""
    cuda = args.device == 'cuda'
    wrapped = MMDistributedDataParallel(model.train(), device_ids=[0] if cuda else None)
    # MMEngine has it for a GPU alone
    kind = AmpOptimWrapper if cuda and mode != 'float32' else OptimWrapper
    optim = kind(optimizer=torch.optim.Adam(model.parameters(), 1e-4))

    def call():
        with optim.optim_context(wrapped):
            loss, _ = model.parse_losses(wrapped(**batch, mode='loss'))
        optim.update_params(loss)
        return loss.item()

    return call


TASKS = dict(inference=inference, step=step)


def peak(call):
    """MiB that a call needs at its peak."""
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    call()
    return round((torch.cuda.max_memory_allocated() - before) / 2**20)


def rows(args, name, mode, task):
    """A row of each variant."""
    calls, lines = {}, {}
    for variant in args.variants:
        model, batch = build(args, name, variant, mode)
        line = lines[variant] = dict(network=name, mode=mode, task=task)
        line.update(device=device_name(args.device), variant=variant)
        line['parameters'] = sum(weight.numel() for weight in model.parameters())
        if mode == 'float32':
            network = Network(model.eval())
            line['multiply-adds'] = count_multiply_adds(network, batch['inputs'][:1])
        calls[variant] = TASKS[task](args, model, batch, mode)
    first = {variant: call() for variant, call in calls.items()}
    times = time_in_turn(calls, args.rounds)
    for variant, line in lines.items():
        line['ms'] = round(1000 * np.median(times[variant]), 2)
        ratio = times[variant] / next(iter(times.values()))
        line['ratio'] = round(np.median(ratio), 3)
        if args.device == 'cuda':
            line['MiB'] = peak(calls[variant])
        if task == 'step':
            line['first loss'], line['last loss'] = first[variant], calls[variant]()
        yield line


def device_name(device):
    return torch.cuda.get_device_name() if device == 'cuda' else 'CPU'


def main(argv=None):
    args = parse_args(argv)
    backend, store = 'nccl' if args.device == 'cuda' else 'gloo', dist.HashStore()
    dist.init_process_group(backend, store=store, rank=0, world_size=1)
    init_default_scope('mmpose')
    args.out.parent.mkdir(parents=True, exist_ok=True)
    with args.out.open('w', newline='') as file:
        writer = csv.DictWriter(file, COLUMNS)
        writer.writeheader()
        for job in itertools.product(args.modes, args.networks, args.tasks):
            mode, name, task = job
            for line in rows(args, name, mode, task):
                writer.writerow(line)
                file.flush()
                print(line, flush=True)
    dist.destroy_process_group()
    print(args.out)


if __name__ == '__main__':
    main()
