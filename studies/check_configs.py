"""Run configs with MMPose's own tools on a little real data, to see that they work.

Each config trains for two iterations with tools/train.py and is then tested with
tools/test.py: COCO's and CrowdPose's with ground-truth and with detected boxes,
OCHuman's on the validation and the test set, with the weights of the COCO config of the
same name. Nothing is learnt; what is checked is that the loss is finite and that every
metric is there. The data are linked at the paths that the configs name, and tools run
from there; nothing is downloaded, so the networks start untrained.

What has passed is in OUT/results.json and is not run again.
"""

import argparse
import json
import math
import os
import re
import shutil
import sys
import time
import warnings
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from clone import REPO, run_script

# isort: split
from mmengine.config import Config
from tqdm import tqdm

from mipnet_mmpose.datasets.unwrap import stock_dataset_configs
from mipnet_mmpose.mmpose_files import mmpose_tool
from mipnet_mmpose.whole_files import write_text

FOLDERS = [REPO / 'configs' / name for name in ('coco', 'crowdpose', 'ochuman')]

# the paths of the configs, and what of the data takes their place
LINKS = {
    'data/coco/': {
        'annotations/person_keypoints_train2017.json': 'coco/person_keypoints.json',
        'annotations/person_keypoints_val2017.json': 'coco_det/test_coco.json',
        'person_detection_results/COCO_val2017_detections_AP_H_56_person.json': (
            'coco_det/test_coco_det_AP_H_56.json'
        ),
        'train2017': 'coco/images',
        'val2017': 'coco_det',
    },
    'data/crowdpose/': {
        'annotations/mmpose_crowdpose_trainval.json': 'crowdpose/test_crowdpose.json',
        'annotations/mmpose_crowdpose_test.json': 'crowdpose/test_crowdpose.json',
        'annotations/det_for_crowd_test_0.1_0.5.json': (
            'crowdpose/test_crowdpose_det_AP_40.json'
        ),
        'images': 'crowdpose',
    },
    'data/ochuman/': {
        'annotations/ochuman_coco_format_val_range_0.00_1.00.json': (
            'ochuman/test_ochuman.json'
        ),
        'annotations/ochuman_coco_format_test_range_0.00_1.00.json': (
            'ochuman/test_ochuman.json'
        ),
        'annotations/ochuman_pose_val.json': 'ochuman/test_ochuman.json',
        'annotations/ochuman_pose_test.json': 'ochuman/test_ochuman.json',
        'images': 'ochuman',
    },
}

# the options are those that configs/_base_ documents
BOXES = {
    'ground-truth boxes': ['test_dataloader.dataset.bbox_file=None'],
    'detected boxes': [],
}
OCHUMAN_VAL = 'annotations/ochuman_coco_format_val_range_0.00_1.00.json'
TESTS = {
    'data/coco/': BOXES,
    'data/crowdpose/': BOXES,
    'data/ochuman/': {
        'val': [
            f'test_dataloader.dataset.ann_file={OCHUMAN_VAL}',
            f'test_evaluator.ann_file=data/ochuman/{OCHUMAN_VAL}',
        ],
        'test': [],
    },
}
COCO_SAMPLES = {'train': 4, 'test': 6}  # of the other datasets there are no more


class CheckError(Exception):
    """Why a config does not pass."""


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'configs', nargs='*', type=Path, metavar='CONFIG', help='default: all of ours'
    )
    parser.add_argument(
        '--data',
        type=Path,
        default=Path(
            os.environ.get('MIPNET_REAL_DATA', REPO.parent / 'shared' / 'data' / 'real')
        ),
        help='pieces of the datasets: coco, coco_det, crowdpose and ochuman '
        '(default: $MIPNET_REAL_DATA, else ../shared/data/real beside the repository)',
    )
    parser.add_argument('--out', type=Path, default=Path('work_dirs/check_configs'))
    parser.add_argument('--workers', type=int, default=1, help='configs at a time')
    args = parser.parse_args(argv)
    args.configs = args.configs or [p for f in FOLDERS for p in sorted(f.glob('*.py'))]
    for path in args.configs:
        if not path.is_file():
            parser.error(f'CONFIG {path} does not exist')
    args.configs = [path.resolve() for path in args.configs]
    if args.workers < 1:
        parser.error(f'--workers must be at least 1, got {args.workers}')
    return args


def lay_out(data, out):
    """Link the data at the paths of the configs, below ``out``."""
    for root, links in LINKS.items():
        for name, source in links.items():
            source = (data / source).resolve()
            if not source.exists():
                sys.exit(f'check_configs: {source} does not exist; give --data')
            link = out / root / name
            link.parent.mkdir(parents=True, exist_ok=True)
            if link.is_symlink():
                link.unlink()
            link.symlink_to(source)


def title(config):
    """The path of a config as it is printed and recorded."""
    return str(config.relative_to(REPO) if REPO in config.parents else config)


def trained_config(config):
    """The config whose weights a config is tested with."""
    name = re.sub('_ochuman-(pose-)?', '_coco-', config.name)
    coco = config.parents[1] / 'coco' / name
    return coco if config.parent.name == 'ochuman' and coco.is_file() else config


def run_mmpose(name, log, *arguments):
    """Run one of MMPose's tools from the folder with the data."""
    try:
        run_script([mmpose_tool(name), *arguments], log)
    except RuntimeError as error:
        raise CheckError(error) from error


def loaders(cfg, split):
    """Options for a small loader of a stock dataset's first samples."""
    loader = f'{split}_dataloader'
    ((key, dataset),) = stock_dataset_configs(cfg[loader].dataset, f'{loader}.dataset')
    options = [
        f'{loader}.batch_size=2',
        f'{loader}.num_workers=0',
        f'{loader}.persistent_workers=False',
    ]
    if dataset.data_root == 'data/coco/':
        options.append(f'{key}.indices={COCO_SAMPLES[split]}')
    return options


def no_download(cfg):
    """Options that keep the network as it was drawn."""
    backbone = 'model.backbone' + '.backbone' * ('backbone' in cfg.model.backbone)
    return [f'{backbone}.init_cfg=None', 'load_from=None']


def train(config, work_dir, logs):
    """Train for two iterations; returns the checkpoint and both losses."""
    cfg = Config.fromfile(config)
    run_mmpose(
        'train.py',
        logs / f'{config.stem}-train.log',
        config,
        '--no-validate',
        '--work-dir',
        work_dir,
        '--cfg-options',
        *no_download(cfg),
        *loaders(cfg, 'train'),
        'train_cfg.max_epochs=1',
        'default_hooks.logger.interval=1',
        'default_hooks.checkpoint.save_optimizer=False',
    )
    (scalars,) = work_dir.glob('*/vis_data/scalars.json')
    losses = [json.loads(line)['loss'] for line in scalars.read_text().splitlines()]
    if len(losses) != 2 or not all(map(math.isfinite, losses)):
        raise CheckError(f'train.py: the losses of two iterations are {losses}')
    return work_dir / 'epoch_1.pth', losses


def test(config, checkpoint, name, options, work_dir, logs):
    """Test once; returns the metrics."""
    cfg = Config.fromfile(config)
    metrics_file = work_dir / 'metrics.json'
    run_mmpose(
        'test.py',
        logs / f'{config.stem}-{name.replace(" ", "-")}.log',
        config,
        checkpoint,
        '--work-dir',
        work_dir,
        '--out',
        metrics_file,
        '--cfg-options',
        *no_download(cfg),
        *loaders(cfg, 'test'),
        *options,
    )
    metrics = json.loads(metrics_file.read_text())
    prefix = cfg.test_evaluator.get('prefix', 'coco')
    num_instances = cfg.model.head.get('num_instances', 1)
    expected = [f'{prefix}/AP']
    if num_instances > 1:
        expected += [f'{prefix}/lambda{i}/AP' for i in range(num_instances)]
    missing = [key for key in expected if key not in metrics]
    if missing or not all(map(math.isfinite, metrics.values())):
        raise CheckError(f'test.py, {name}: missing {missing}, metrics are {metrics}')
    return metrics


def check_group(trained, configs, out):
    """Train one config and test all that take its weights.

    Yields:
        tuple: a config and its result.
    """
    work_dir = out / 'work' / trained.stem
    shutil.rmtree(work_dir, ignore_errors=True)
    start = time.time()
    try:
        try:
            checkpoint, losses = train(trained, work_dir, out / 'logs')
        except CheckError as error:
            for config in configs:
                seconds = round(time.time() - start)
                yield config, dict(seconds=seconds, passed=False, error=str(error))
            return
        for config in configs:
            result = dict(losses=losses, metrics={})
            try:
                root = Config.fromfile(config).test_dataloader.dataset.data_root
                for name, options in TESTS[root].items():
                    result['metrics'][name] = test(
                        config, checkpoint, name, options, work_dir, out / 'logs'
                    )
            except CheckError as error:
                result['error'] = str(error)
            result['passed'] = 'error' not in result
            result['seconds'] = round(time.time() - start)
            start = time.time()
            yield config, result
    finally:
        shutil.rmtree(work_dir, ignore_errors=True)


def outcome(result):
    """A result in one line."""
    if not result['passed']:
        return f'FAILED, {result["seconds"]} s: {result["error"]}'
    losses = ' '.join(f'{loss:.2g}' for loss in result['losses'])
    metrics = ', '.join(
        f'{len(metrics)} metrics with {name}'
        if name in BOXES
        else f'{len(metrics)} metrics on {name}'
        for name, metrics in result['metrics'].items()
    )
    return f'ok, {result["seconds"]} s: loss {losses}; {metrics}'


def main(argv=None):
    warnings.filterwarnings('ignore', message='pkg_resources')  # of mmengine
    args = parse_args(argv)
    for config in args.configs:
        root = Config.fromfile(config).test_dataloader.dataset.data_root
        if root not in TESTS:
            sys.exit(
                f'check_configs: {title(config)} is tested on {root}, which is none '
                f'of {", ".join(TESTS)}'
            )
    out = args.out.resolve()
    lay_out(args.data, out)
    results_file = out / 'results.json'
    results = json.loads(results_file.read_text()) if results_file.exists() else {}

    groups = {}
    for config in args.configs:
        if results.get(title(config), {}).get('passed'):
            print(f'{title(config)}: passed before')
        else:
            groups.setdefault(trained_config(config), []).append(config)

    def collect(group):
        for config, result in check_group(*group, out):
            results[title(config)] = result
            write_text(results_file, json.dumps(results, indent=1, sort_keys=True))
            tqdm.write(f'{title(config)}: {outcome(result)}')

    os.chdir(out)
    with ThreadPoolExecutor(args.workers) as pool:
        jobs = [pool.submit(collect, group) for group in groups.items()]
        for job in tqdm(as_completed(jobs), total=len(jobs), desc='trainings'):
            job.result()
    print(results_file)
    failed = [c for c in map(title, args.configs) if not results[c]['passed']]
    if failed:
        sys.exit(f'check_configs: {len(failed)} of {len(args.configs)} failed')


if __name__ == '__main__':
    main()
