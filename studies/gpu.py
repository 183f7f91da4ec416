"""Time, memory and a training step of MIPNet on a GPU, beside the stock network.

`studies/gpu.sh` runs both parts. A row is printed and written as soon as it is
measured. `--smoke` does the same on a CPU with small crops.
"""

import argparse
import copy
import sys
import time
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
NETWORKS = {
    'HRNet-W32, 256x192': ('td-hm_hrnet-w32_8xb64-210e_coco-256x192', (192, 256)),
    'HRNet-W48, 384x288': ('td-hm_hrnet-w48_8xb32-210e_coco-384x288', (288, 384)),
}
INSTANCES = (0, 1, 2, 4)  # 0 is the stock network
MODES = ('float32', 'AMP', 'AMP, compiled')
BATCH = 64


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('part', choices=['cost', 'step'])
    parser.add_argument('--out', type=Path, required=True, help='Markdown file')
    parser.add_argument('--smoke', action='store_true')
    return parser.parse_args()


class Table:
    """A Markdown table that is whole after every row."""

    def __init__(self, path, header):
        self.path = path
        lines = [f'GPU: {device_name()}, torch {torch.__version__}', '']
        lines += [f'| {" | ".join(header)} |', '| --- ' * len(header) + '|']
        path.write_text('\n'.join(lines) + '\n')
        print('\n'.join(lines), flush=True)

    def add(self, *cells):
        line = f'| {" | ".join(map(str, cells))} |'
        print(line, flush=True)
        with self.path.open('a') as stream:
            stream.write(line + '\n')


def device_name():
    return torch.cuda.get_device_name() if torch.cuda.is_available() else 'none (CPU)'


def build(name, num_instances, device):
    """A network of random weights; 0 instances for the stock one."""
    cfg = Config.fromfile(find_config(name))
    cfg.model.backbone.init_cfg = None
    if num_instances:
        cfg = mipnetify(cfg, num_instances=num_instances, where='backbone')
    return MODELS.build(cfg.model).to(device)


def measure(function, repeats):
    """Milliseconds of a call, the median, and the peak of memory in MiB."""
    cuda = torch.cuda.is_available()
    for _ in range(2):
        function()
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    times = []
    for _ in range(repeats):
        if cuda:
            torch.cuda.synchronize()
        start = time.perf_counter()
        function()
        if cuda:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - start)
    memory = torch.cuda.max_memory_allocated() / 2**20 if cuda else 0
    return 1000 * sorted(times)[len(times) // 2], memory


def cost(args, device):
    """Inference of a batch of crops, each network in turn in each mode."""
    batch = 1 if args.smoke else BATCH
    table = Table(
        args.out,
        ['network', 'mode', 'N', f'ms, {batch} crops', 'to stock', 'MiB', 'to stock'],
    )
    for mode in MODES:
        for title, (name, (width, height)) in NETWORKS.items():
            if 'W48' in title and (args.smoke or mode == MODES[2]):
                continue  # compiling takes minutes
            size = (64, 64) if args.smoke else (height, width)
            crops = torch.randn(batch, 3, *size, device=device)
            stock = None
            for n in INSTANCES:
                if n in (1, 4) and (args.smoke or mode == MODES[2]):
                    continue
                model = build(name, n, device).eval()
                forward = model
                if mode == MODES[2]:
                    backend = 'eager' if args.smoke else 'inductor'
                    forward = torch.compile(model, backend=backend)

                def call(forward=forward, crops=crops, amp=mode != MODES[0]):
                    with torch.no_grad(), torch.autocast(device, enabled=amp):
                        forward(crops, None, mode='tensor')

                found = measure(call, 2 if args.smoke else 10)
                stock = stock or found
                ratios = [f / max(s, 1e-9) for f, s in zip(found, stock)]
                table.add(
                    title,
                    mode,
                    n or 'stock',
                    f'{found[0]:.1f}',
                    f'{ratios[0]:.2f}',
                    f'{found[1]:.0f}',
                    f'{ratios[1]:.2f}' if stock[1] else '-',
                )


def samples(num, batch, size, device):
    """Crops with targets of N persons, as the data pipeline makes them."""
    width, height = size
    target = torch.rand(num * 17, height // 4, width // 4, device=device)
    labels = InstanceData(keypoint_weights=torch.ones(num, 17, device=device))
    instances = InstanceData()
    instances.target_instances = np.arange(num)[None]
    sample = PoseDataSample(
        gt_fields=PixelData(heatmaps=target), gt_instance_labels=labels
    )
    sample.gt_instances = instances
    crops = torch.randn(batch, 3, height, width, device=device)
    return crops, [copy.copy(sample) for _ in range(batch)]


def step(args, device):
    """A training step in one process of NCCL (gloo on a CPU)."""
    batch = 2 if args.smoke else BATCH
    size = (64, 64) if args.smoke else (192, 256)
    backend = 'nccl' if device == 'cuda' else 'gloo'
    store = torch.distributed.HashStore()
    torch.distributed.init_process_group(backend, store=store, rank=0, world_size=1)
    header = ['network', 'mode', 'N', f'ms, {batch} crops', 'to stock', 'MiB', 'loss']
    table = Table(args.out, [*header, f'after steps with {backend}'])
    title, (name, _) = next(iter(NETWORKS.items()))
    for mode in MODES:
        stock = None
        for n in (0, 2):
            torch.manual_seed(0)
            model = build(name, n, device).train()
            wrapped = MMDistributedDataParallel(
                model, device_ids=[0] if device == 'cuda' else None
            )
            if mode == MODES[2]:
                compiler = 'eager' if args.smoke else 'inductor'
                model.backbone.compile(backend=compiler)
            optimizer = torch.optim.Adam(model.parameters(), 1e-4)
            amp = mode != MODES[0] and not args.smoke  # of CUDA alone
            optim = (AmpOptimWrapper if amp else OptimWrapper)(optimizer=optimizer)
            crops, labels = samples(n or 1, batch, size, device)
            losses = []

            def call(wrapped=wrapped, optim=optim, data=(crops, labels), log=losses):
                with optim.optim_context(wrapped):
                    loss, _ = wrapped.module.parse_losses(wrapped(*data, mode='loss'))
                optim.update_params(loss)
                log.append(loss.detach())

            found = measure(call, 2 if args.smoke else 10)
            stock = stock or found
            change = f'{losses[0].item():.4f} to {losses[-1].item():.4f}'
            ratio = f'{found[0] / stock[0]:.2f}'
            cells = [f'{found[0]:.1f}', ratio, f'{found[1]:.0f}', change, len(losses)]
            table.add(title, mode, n or 'stock', *cells)
    torch.distributed.destroy_process_group()


if __name__ == '__main__':
    arguments = parse_args()
    sys.path.insert(0, str(REPO))
    import torch

    import mipnet_mmpose  # noqa: F401 (before mmpose)

    # isort: split
    import numpy as np
    from mmengine.config import Config
    from mmengine.model import MMDistributedDataParallel
    from mmengine.optim import AmpOptimWrapper, OptimWrapper
    from mmengine.registry import init_default_scope
    from mmengine.structures import InstanceData, PixelData
    from mmpose.registry import MODELS
    from mmpose.structures import PoseDataSample

    from mipnet_mmpose.mipnetify import mipnetify
    from mipnet_mmpose.mmpose_files import find_config

    init_default_scope('mmpose')
    target = 'cpu' if arguments.smoke else 'cuda'
    dict(cost=cost, step=step)[arguments.part](arguments, target)
