"""What a MIPNet costs beside its stock baseline: ratios, measured in turn.

mipnetify makes MIPNets of stock configs, with random weights; pictures are generated.
Nothing is downloaded. In every round the baseline and the MIPNets run one after the
other; a figure is the median over the rounds of time / time of the baseline in the same
round. With one thread on a CPU it is processor time, which other programs disturb less.
The parts:

  inference   the network on a batch: N = 2 and N = 4 with MIMBs inside the backbone,
              N = 2 with MIMBs behind it; multiply-adds beside
  training    forward, loss, backward and optimizer, N = 2, MIMBs inside the backbone
  memory      peak of two such steps in a process of their own: what they add to the
              resident memory (CPU, Linux), or allocate (GPU)
  pipeline    one sample through the config's training pipeline
  graph       graph breaks under torch.compile; on a GPU also host synchronisation
  throughput  images per second in float32, bfloat16, channels-last, compiled (GPU)
  nms         OKS-NMS of 200 poses
  metric      MultiInstanceCocoMetric, against CocoMetric on as many poses

Results are added to OUT after each of them, and all that OUT has is printed and goes
into DOC.
"""

import argparse
import itertools
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
import warnings
from functools import partial
from pathlib import Path

import mipnet_mmpose  # noqa: F401 (before mmpose.models)

# isort: split
import mmpose
import numpy as np
import torch
from made_up_samples import stock_parts
from mipnetify import STOCK
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.logging import MMLogger
from mmengine.optim import build_optim_wrapper
from mmengine.registry import init_default_scope
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.evaluation.functional.nms import oks_nms as stock_oks_nms
from mmpose.registry import DATASETS, METRICS, MODELS
from model_zoo import fill_tables
from stock_configs import table, undownloaded

from mipnet_mmpose.comparison.cost import (
    Network,
    count_multiply_adds,
    machine_name,
    time_in_turn,
)
from mipnet_mmpose.evaluation import oks_nms
from mipnet_mmpose.mipnetify import crop_size, mipnetify
from mipnet_mmpose.synthcrowd import generate
from mipnet_mmpose.whole_files import write_text

HEATMAP = 'body_2d_keypoint/topdown_heatmap/coco/td-hm_'
RTMPOSE = 'body_2d_keypoint/rtmpose/coco/rtmpose-m_8xb256-420e_coco-256x192.py'
CONFIGS = {
    'hrnet-w32': f'{HEATMAP}hrnet-w32_8xb64-210e_coco-256x192.py',
    'hrnet-w48': f'{HEATMAP}hrnet-w48_8xb32-210e_coco-384x288.py',
    'res50': f'{HEATMAP}res50_8xb64-210e_coco-256x192.py',
    'vit-b': f'{HEATMAP}ViTPose-base_8xb64-210e_coco-256x192.py',
    'rtmpose-m': RTMPOSE,
}
TITLES = {
    'hrnet-w32': 'HRNet-W32 256x192',
    'hrnet-w48': 'HRNet-W48 384x288',
    'res50': 'ResNet-50 256x192',
    'vit-b': 'ViT-B 256x192',
    'rtmpose-m': 'RTMPose-m 256x192',
}
BASELINE, TWO, FOUR, NECK = 'baseline', 'N = 2', 'N = 4', 'N = 2, MIMBNeck'
VARIANTS = {
    TWO: dict(num_instances=2, where='backbone'),
    FOUR: dict(num_instances=4, where='backbone'),
    NECK: dict(num_instances=2, where='neck'),
}
TARGETS = {  # on a CPU, HRNet-W32 256x192, batch 8; at most
    ('inference', 'hrnet-w32', TWO): 1.38,
    ('inference', 'hrnet-w32', FOUR): 2.0,
    ('inference', 'hrnet-w32', NECK): 1.05,
    ('training', 'hrnet-w32', TWO): 1.38,
    ('memory', 'hrnet-w32', TWO): 1.5,
    ('pipeline', 'hrnet-w32', TWO): 1.15,
    ('nms', '200 poses', TWO): 1 / 20,
    ('metric', '5000 images x 20 boxes', TWO): 1.0,
}
PICTURES, PICTURE_SIZE = 16, (640, 480)


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cpu')
    parser.add_argument(
        '--only', nargs='+', choices=PARTS, metavar='PART', help='default: all'
    )
    parser.add_argument(
        '--models',
        nargs='+',
        type=_model,
        default=list(CONFIGS),
        metavar='MODEL',
        help=f'of {", ".join(CONFIGS)}, or files of stock configs; default: the former',
    )
    parser.add_argument(
        '--rounds', type=_count, default=11, metavar='R', help='default: 11'
    )
    parser.add_argument(
        '--batch', type=_count, default=8, metavar='B', help='default: 8'
    )
    parser.add_argument(
        '--metric-images', type=_count, default=5000, metavar='I', help='default: 5000'
    )
    parser.add_argument(
        '--out',
        type=Path,
        metavar='JSON',
        help='default: work_dirs/benchmark/DEVICE.json',
    )
    parser.add_argument('--doc', type=Path, metavar='MD', help='with places for tables')
    parser.add_argument('--peak-memory-of', type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args(argv)
    if args.device == 'cuda' and not torch.cuda.is_available():
        parser.error('--device cuda: torch sees no GPU')
    if args.device == 'cpu' and 'throughput' in (args.only or ()):
        parser.error('--only throughput needs --device cuda')
    if args.doc and not args.doc.is_file():
        parser.error(f'--doc {args.doc} does not exist')
    args.out = args.out or Path(f'work_dirs/benchmark/{args.device}.json')
    return args


def _model(text):
    if text not in CONFIGS and not Path(text).is_file():
        raise argparse.ArgumentTypeError(
            f'{text!r} is neither one of {", ".join(CONFIGS)} nor the file of a config'
        )
    return text


def _count(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'{text!r} is not a number of at least 1')
    return int(text)


# -------------------------------------------------------------------------- the models


def stock_config(model, folder):
    """A stock config without weights to fetch, trained on generated pictures."""
    cfg = Config.fromfile(STOCK / CONFIGS[model] if model in CONFIGS else model)
    cfg.model = undownloaded(cfg.model)
    generate(folder, PICTURES, 0, size=PICTURE_SIZE, progress=False)
    for part in stock_parts(cfg.train_dataloader.dataset):
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


def training_step(cfg, batch, device, **optim_wrapper):
    """A model and a call that trains it for a step."""
    model = MODELS.build(cfg.model).to(device).train()
    optim_wrapper = build_optim_wrapper(model, dict(cfg.optim_wrapper, **optim_wrapper))
    return model, partial(model.train_step, batch, optim_wrapper)


def training_batch(cfg, size):
    dataset = DATASETS.build(cfg.train_dataloader.dataset)
    return pseudo_collate([dataset[i % len(dataset)] for i in range(size)])


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


# --------------------------------------------------------------- the parts, per network


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
    peaks = {}
    for name, variant in variants(cfg, TWO).items():
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, 'config.py')
            variant.dump(file)
            command = [sys.executable, __file__, '--peak-memory-of', file]
            command += ['--device', args.device, '--batch', args.batch]
            # small blocks go back to the system too, so that the peak is what is in use
            env = dict(os.environ, MALLOC_MMAP_THRESHOLD_='65536')
            output = subprocess.check_output(list(map(str, command)), env=env)
        peaks[name] = int(output.split()[-1])
    ratio = peaks[TWO] / peaks[BASELINE]
    return {BASELINE: dict(bytes=peaks[BASELINE]), TWO: dict(ratio=ratio)}


def peak_memory(args):
    """Bytes that two training steps take at their peak, the model included."""
    cfg = Config.fromfile(args.peak_memory_of)
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


# --------------------------------------------------------- the parts without a network


def nms(args):
    """200 poses of one image: 100 boxes, every second one finds its person twice."""
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(0, 640, (200, 17, 2)).astype('f4')
    keypoints[1::4] = keypoints[::4] + rng.normal(0, 1, (50, 17, 2))
    scores, areas = rng.uniform(0, 1, 200), rng.uniform(5e3, 5e4, 200)
    persons = [
        dict(keypoints=np.c_[k, np.ones(17)].astype('f4'), score=s, area=a)
        for k, s, a in zip(keypoints, scores, areas)
    ]
    calls = {
        BASELINE: partial(stock_oks_nms, persons, 0.9),
        TWO: partial(oks_nms, keypoints, scores, areas, 0.9),
    }
    kept = [call().tolist() for call in calls.values()]
    if kept[0] != kept[1]:
        raise AssertionError(f'other persons are kept: {kept[0]}, {kept[1]}')
    return {'200 poses': dict(compare(calls, args), kept=len(kept[0]))}


def metric(args, boxes=20, instances=2):
    """Two people an image; the boxes are about them, both poses too."""
    rng = np.random.default_rng(0)
    images = args.metric_images
    corners = rng.uniform(0, 200, (images, 2, 1, 2))
    people = corners + rng.uniform(0, 200, (images, 2, 17, 2))
    chosen = rng.integers(0, 2, (images, boxes * instances))
    poses = people[np.arange(images)[:, None], chosen]
    poses += rng.normal(0, 1, poses.shape) * rng.uniform(0, 40, (*chosen.shape, 1, 1))
    poses = poses.astype('f4').reshape(images, boxes, instances, 17, 2)
    scores = rng.uniform(0, 1, poses.shape[:-1]).astype('f4')
    box_scores = rng.uniform(0, 1, (images, boxes)).astype('f4')

    def samples(rows):
        """As the model gives them, with that many poses each."""
        box_ids = itertools.count()
        shape = (-1, rows, 17)
        for i in range(images):
            repeated = box_scores[i].repeat(instances).reshape(-1, rows)
            for keypoints, scores_, box_score in zip(
                poses[i].reshape(*shape, 2), scores[i].reshape(shape), repeated
            ):
                pred = dict(keypoints=keypoints, keypoint_scores=scores_)
                pred['bbox_scores'] = box_score
                gt = dict(bbox_scales=np.array([[200, 200]], 'f4'))
                yield dict(
                    id=next(box_ids), img_id=i, pred_instances=pred, gt_instances=gt
                )

    meta = parse_pose_metainfo(dict(from_file='configs/_base_/datasets/coco.py'))
    with tempfile.TemporaryDirectory() as folder:
        ann_file = str(Path(folder, 'annotations.json'))
        Path(ann_file).write_text(json.dumps(annotations(people)))
        calls = {}
        for name, rows in ((BASELINE, 1), (TWO, instances)):
            cfg = dict(type='CocoMetric' if rows == 1 else 'MultiInstanceCocoMetric')
            evaluator = METRICS.build(dict(cfg, ann_file=ann_file))
            evaluator.dataset_meta = dict(meta)
            calls[name] = partial(evaluate, evaluator, list(samples(rows)))
        result = compare(calls, args, rounds=1)
    return {f'{images} images x {boxes} boxes': result}


def evaluate(evaluator, samples):
    evaluator.process([], samples)
    return evaluator.evaluate(len(samples))


def annotations(people):
    """COCO's, of people (I, P, 17, 2)."""
    found = []
    for image_id, poses in enumerate(people):
        for pose in poses:
            left, top = pose.min(axis=0).tolist()
            width, height = np.ptp(pose, axis=0).tolist()
            found.append(
                dict(
                    id=len(found),
                    image_id=image_id,
                    category_id=1,
                    iscrowd=0,
                    bbox=[left, top, width, height],
                    area=width * height,
                    num_keypoints=17,
                    keypoints=np.c_[pose, np.full(17, 2)].ravel().tolist(),
                )
            )
    records = [dict(id=i, width=640, height=480) for i in range(len(people))]
    return dict(
        images=records, annotations=found, categories=[dict(id=1, name='person')]
    )


NETWORK_PARTS = dict(
    inference=inference,
    training=training,
    memory=memory,
    pipeline=pipeline,
    graph=graph,
    throughput=throughput,
)
OTHER_PARTS = dict(nms=nms, metric=metric)
PARTS = [*NETWORK_PARTS, *OTHER_PARTS]


# -------------------------------------------------------------------------- the tables


def milliseconds(baseline):
    return f'{1000 * baseline["seconds"]:.3g}'


BASELINE_COLUMNS = {
    'inference': ('baseline, ms a crop', milliseconds),
    'training': ('baseline, ms a crop', milliseconds),
    'memory': ('baseline, MB', lambda baseline: f'{baseline["bytes"] / 2**20:.0f}'),
    'pipeline': ('baseline, ms a sample', milliseconds),
    'nms': ('MMPose, ms', milliseconds),
    'metric': ('MMPose, s', lambda baseline: f'{baseline["seconds"]:.0f}'),
}


def ratio_table(part, subjects):
    """Ratios with the middle half of the rounds; multiply-adds where counted."""
    names = [n for n in VARIANTS if any(n in result for result in subjects.values())]
    column, form = BASELINE_COLUMNS[part]
    header = ['']
    timed = part != 'memory'
    for name in names:
        header += [name, 'multiply-adds'] if part == 'inference' else [name]
    rows = []
    for subject, result in subjects.items():
        row = [TITLES.get(subject, Path(subject).stem)]
        for name in names:
            row.append(ratio_cell(result[name]))
            if part == 'inference':
                row.append(f'{result[name]["multiply_adds"]:.2f}')
        row.append(form(result[BASELINE]))
        rows.append([*row, result[BASELINE]['rounds']] if timed else row)
    return table([*header, column] + ['rounds'] * timed, rows)


def ratio_cell(entry):
    digits = 2 if entry['ratio'] > 0.1 else 4
    cell = f'**{entry["ratio"]:.{digits}f}**'
    if entry.get('low') != entry.get('high'):
        cell += f' ({entry["low"]:.{digits}f} … {entry["high"]:.{digits}f})'
    return cell


def value_table(subjects):
    """A row for each network and variant of it, a column for each value."""
    columns = list(next(iter(next(iter(subjects.values())).values())))
    rows = [
        [TITLES.get(subject, Path(subject).stem), name]
        + [f'{values[column]:.4g}' for column in columns]
        for subject, result in subjects.items()
        for name, values in result.items()
    ]
    return table(['', '', *columns], rows)


def target_table(results):
    rows = []
    for (part, subject, name), limit in TARGETS.items():
        entry = results.get(part, {}).get(subject, {}).get(name)
        if entry is not None:
            held = 'yes' if entry['ratio'] <= limit else '**no**'
            title = TITLES.get(subject, subject)
            what = f'{part}, {title}' + (f', {name}' if part == 'inference' else '')
            rows.append([what, f'{limit:g}', ratio_cell(entry), held])
    return table(['time or memory / baseline', 'at most', 'measured', 'held'], rows)


def all_tables(record):
    """Markdown of each part that has results, and of the targets."""
    results = record['results']
    tables = dict(
        machine=f'{record["machine"]}; torch {record["torch"]}, MMPose '
        f'{record["mmpose"]}; batch {record["batch"]}\n'
    )
    if record['device'] == 'cpu' and record['batch'] == 8:
        tables['targets'] = target_table(results)
    for part in PARTS:
        if part in results:
            make = (
                partial(ratio_table, part) if part in BASELINE_COLUMNS else value_table
            )
            tables[part] = make(results[part])
    return tables


# -------------------------------------------------------------------------- the command


def open_record(args):
    """What OUT has, if it was measured in the same way."""
    machine = machine_name(torch.device(args.device))
    if args.device == 'cpu':
        machine += f', cores: {os.cpu_count()}'
    record = dict(
        device=args.device,
        machine=machine,
        python=platform.python_version(),
        torch=torch.__version__,
        mmpose=mmpose.__version__,
        batch=args.batch,
    )
    if args.out.is_file():
        known = json.loads(args.out.read_text())
        for key, value in record.items():
            if known[key] != value:
                raise ValueError(
                    f'--out {args.out} was measured with {key} = {known[key]}, not '
                    f'{value}: name another file'
                )
        return known
    return dict(record, results={})


def measure(args, record):
    """Measure part by part, and write OUT after each."""
    parts = args.only or [
        p for p in PARTS if args.device == 'cuda' or p != 'throughput'
    ]
    folder = args.out.resolve().parent / 'synthcrowd'
    for part in parts:
        if part in OTHER_PARTS:
            save(args, record, part, OTHER_PARTS[part](args))
            continue
        for model in args.models:
            cfg = stock_config(model, folder)
            save(args, record, part, {model: NETWORK_PARTS[part](cfg, args)})


def save(args, record, part, subjects):
    record['results'].setdefault(part, {}).update(subjects)
    for subject, result in subjects.items():
        print(f'{time.strftime("%H:%M:%S")} {part}, {subject}: {result}', flush=True)
    write_text(args.out, json.dumps(record, indent=1) + '\n')


def main(argv=None):
    args = parse_args(argv)
    warnings.filterwarnings('ignore')  # of mmengine and torch, about themselves
    MMLogger.get_instance('benchmark', log_level='ERROR')
    init_default_scope('mmpose')
    torch.manual_seed(0)
    if args.peak_memory_of:
        return print(peak_memory(args))
    try:
        record = open_record(args)
    except ValueError as error:
        sys.exit(f'benchmark: {error}')
    measure(args, record)
    tables = all_tables(record)
    for name, text in tables.items():
        print(f'\n{name}\n\n{text}')
    print(args.out)
    if args.doc:
        tables = {f'{args.device} {name}': text for name, text in tables.items()}
        write_text(args.doc, fill_tables(args.doc, args.doc.read_text(), tables))
        print(args.doc)


if __name__ == '__main__':
    main()
