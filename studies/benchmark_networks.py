"""What the benchmark measures of each network beside its baseline."""

import itertools
import time
from functools import partial

from benchmark_memory import peak_memory, training_batch, training_step
from made_up_samples import undownloaded

# isort: split
import numpy as np
import torch
from mmengine.config import Config
from mmpose.registry import DATASETS, MODELS

from mipnet_mmpose.comparison.cost import Network, count_multiply_adds, time_in_turn
from mipnet_mmpose.datasets.unwrap import stock_dataset_configs
from mipnet_mmpose.mipnetify import crop_size, mipnetify
from mipnet_mmpose.mmpose_files import STOCK_CONFIGS
from mipnet_mmpose.synthcrowd import generate

HEATMAP = 'body_2d_keypoint/topdown_heatmap/coco/td-hm_'
RTMPOSE = 'body_2d_keypoint/rtmpose/coco/rtmpose-m_8xb256-420e_coco-256x192.py'
CONFIGS = {
    'hrnet-w32': f'{HEATMAP}hrnet-w32_8xb64-210e_coco-256x192.py',
    'hrnet-w48': f'{HEATMAP}hrnet-w48_8xb32-210e_coco-384x288.py',
    'res50': f'{HEATMAP}res50_8xb64-210e_coco-256x192.py',
    'vit-b': f'{HEATMAP}ViTPose-base_8xb64-210e_coco-256x192.py',
    'rtmpose-m': RTMPOSE,
}
BASELINE, TWO, FOUR, NECK = 'baseline', 'N = 2', 'N = 4', 'N = 2, MIMBNeck'
VARIANTS = {
    TWO: dict(num_instances=2, where='backbone'),
    FOUR: dict(num_instances=4, where='backbone'),
    NECK: dict(num_instances=2, where='neck'),
}
PICTURES, PICTURE_SIZE = 16, (640, 480)


def stock_config(model, folder):
    """A stock config without weights to fetch, trained on generated pictures."""
    cfg = Config.fromfile(STOCK_CONFIGS / CONFIGS[model] if model in CONFIGS else model)
    cfg.model = undownloaded(cfg.model)
    generate(folder, PICTURES, 0, size=PICTURE_SIZE, progress=False)
    for _, part in stock_dataset_configs(cfg.train_dataloader.dataset, 'dataset'):
        part.update(
            data_root=str(folder),
            ann_file='annotations.json',
            data_prefix=dict(img='images/'),
        )
    return cfg


def variants(cfg, *names):
    """The baseline's config, then that of each MIPNet."""
    mipnets = {name: mipnetify(cfg, **VARIANTS[name]) for name in names}
    return {BASELINE: cfg, **mipnets}


def build_network(cfg, device):
    return Network(MODELS.build(cfg.model)).to(device).eval()


def random_images(cfg, args):
    width, height = crop_size(cfg)
    return torch.randn(args.batch, 3, height, width, device=args.device)


def compare(calls, args, rounds=None):
    """Seconds of the baseline, and of each other call the ratio to it."""
    rounds = rounds or args.rounds
    alone = args.device == 'cpu' and torch.get_num_threads() == 1
    clock = time.process_time if alone else time.perf_counter
    times = time_in_turn(calls, rounds, warm_up=2 if rounds > 1 else 0, clock=clock)
    base = times.pop(BASELINE)
    result = {BASELINE: dict(seconds=float(np.median(base)), rounds=rounds)}
    for name, seconds in times.items():
        low, median, high = np.percentile(seconds / base, (25, 50, 75)).tolist()
        result[name] = dict(ratio=median, low=low, high=high)
    return result


def per_crop(result, crops):
    result[BASELINE]['seconds'] /= crops
    return result


def inference(cfg, args):
    images, calls, multiply_adds = random_images(cfg, args), {}, {}
    for name, variant in variants(cfg, *VARIANTS).items():
        network = build_network(variant, args.device)
        calls[name] = partial(network, images)
        multiply_adds[name] = count_multiply_adds(network, images[:1])
    with torch.no_grad():
        result = compare(calls, args)
    for name in VARIANTS:
        ratio = multiply_adds[name] / multiply_adds[BASELINE]
        result[name]['multiply_adds'] = ratio
    return per_crop(result, args.batch)


def training(cfg, args):
    calls = {}
    for name, variant in variants(cfg, TWO).items():
        batch = training_batch(variant, args.batch)
        calls[name] = training_step(variant, batch, args.device)[1]
    return per_crop(compare(calls, args), args.batch)


def memory(cfg, args):
    peaks = {
        name: peak_memory(variant, args) for name, variant in variants(cfg, TWO).items()
    }
    ratio = peaks[TWO] / peaks[BASELINE]
    return {BASELINE: dict(bytes=peaks[BASELINE]), TWO: dict(ratio=ratio)}


def pipeline(cfg, args):
    def load_all(dataset, seeds):
        np.random.seed(next(seeds))
        for i in range(len(dataset)):
            dataset[i]

    calls = {}
    for name, variant in variants(cfg, TWO).items():
        dataset = DATASETS.build(variant.train_dataloader.dataset)
        calls[name] = partial(load_all, dataset, itertools.count())
    return per_crop(compare(calls, args), len(dataset))


def graph(cfg, args):
    images, result = random_images(cfg, args), {}
    for name, variant in variants(cfg, TWO, NECK).items():
        network = build_network(variant, args.device)
        breaks = {}
        for mode in ('inference', 'training'):
            network.train(mode == 'training')
            torch._dynamo.reset()
            breaks[mode] = torch._dynamo.explain(network)(images).graph_break_count
            if args.device == 'cuda':
                check_host_synchronisation(network, images)
        result[name] = breaks
    return result


def check_host_synchronisation(network, images):
    """Raise where the host waits for the GPU."""
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode('error')
    try:
        network(images)
    finally:
        torch.cuda.set_sync_debug_mode('default')


MODES = {
    'float32': dict(),
    'bfloat16': dict(bfloat16=True),
    'bfloat16, channels-last': dict(bfloat16=True, channels_last=True),
    'bfloat16, channels-last, compiled': dict(
        bfloat16=True, channels_last=True, compiled=True
    ),
}


def throughput(cfg, args):
    images, result = random_images(cfg, args), {}
    for mode, options in MODES.items():
        calls, steps = {}, {}
        for name, variant in variants(cfg, TWO).items():
            calls[name] = inference_call(variant, images, **options)
            steps[name] = training_call(variant, args, **options)
        for phase, run in (('inference', calls), ('training', steps)):
            with torch.set_grad_enabled(phase == 'training'):
                times = time_in_turn(run, args.rounds)
            for name, seconds in times.items():
                speed = args.batch / float(np.median(seconds))
                result.setdefault(name, {})[f'{phase}, {mode}'] = speed
        torch._dynamo.reset()
    return result


def inference_call(cfg, images, bfloat16=False, channels_last=False, compiled=False):
    network = build_network(cfg, images.device)
    if channels_last:
        network.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
    if compiled:
        network = torch.compile(network)

    def call():
        with torch.autocast(images.device.type, torch.bfloat16, enabled=bfloat16):
            return network(images)

    return call


def training_call(cfg, args, bfloat16=False, channels_last=False, compiled=False):
    amp = dict(type='AmpOptimWrapper', dtype='bfloat16') if bfloat16 else {}
    batch = training_batch(cfg, args.batch)
    model, step = training_step(cfg, batch, args.device, **amp)
    if channels_last:
        model.to(memory_format=torch.channels_last)
    if compiled:  # the stock losses measure accuracy with numpy
        model.backbone.compile()
    return step


NETWORK_PARTS = dict(
    inference=inference,
    training=training,
    memory=memory,
    pipeline=pipeline,
    graph=graph,
    throughput=throughput,
)
