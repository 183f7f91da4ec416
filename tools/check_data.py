"""Check a config's data: which files are there, who shares a crop, what is learnt.

For the train, val and test loaders of any top-down config: what is wrong with the files
(ERROR: MMPose stops or a number is wrong; WARNING: left out or doubtful), how much the
persons' boxes overlap, and for the training samples how many siblings lie in each crop,
without augmentation. A picture shows training samples as the network sees them, each
with the targets of all lambdas. Exits with status 1 where there is an ERROR.
"""

import argparse
import contextlib
import io
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from mipnet_command import run_tool, tool_parser

LOADERS = ('train', 'val', 'test')
OVERLAPS = {'< 0.1': 0, '0.1 - 0.5': 0.1, '0.5 - 0.75': 0.5, '>= 0.75': 0.75}
SIBLINGS = ['0', '1', '2', '3', '4', '>= 5']


def parse_args(argv=None):
    parser = tool_parser('check_data', __doc__)
    add, shown = parser.add_argument, '(default: %(default)s)'
    add('config', metavar='CONFIG', help='path, or name of one of MMPose or of ours')
    what = "as for MMPose's tools; train_dataloader=None leaves that loader out"
    add('--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help=what)
    out, what = 'work_dirs/check_data', 'the picture, .png or .jpg, or a folder for it'
    add('--out', type=Path, default=Path(out), help=f'{what} {shown}')
    add('--samples', type=int, default=16, help=f'to draw, 0 for none {shown}')
    add('--seed', type=int, default=0, help=f'of choice and augmentation {shown}')
    return parser.parse_args(argv)


def read_config(args):
    """The config with its options, as MMPose's tools read it."""
    from mmengine.config import Config, DictAction
    from mmengine.registry import init_default_scope

    from mipnet_mmpose.mmpose_files import find_config

    parser = argparse.ArgumentParser()
    parser.add_argument('--options', nargs='*', action=DictAction)
    options = parser.parse_args(['--options', *args.cfg_options]).options
    cfg = Config.fromfile(find_config(args.config))
    cfg.merge_from_dict(options)
    if not any(cfg.get(f'{name}_dataloader') for name in LOADERS):
        raise ValueError('no train_dataloader, val_dataloader or test_dataloader')
    init_default_scope(cfg.get('default_scope') or 'mmpose')
    return cfg


def print_table(title, labels, bins):
    """How many there are of each label, and the share of all."""
    import numpy as np

    counts = np.bincount(bins, minlength=len(labels))
    shares = [f'{share:.1f} %' for share in 100 * counts / len(bins)]
    print(f'    {title}')
    for row in (labels, [f'{count:,}' for count in counts], shares):
        print('    ' + ''.join(f'{cell:>12}' for cell in row))


def describe(data):
    """Print who is in a stock dataset."""
    import numpy as np

    from mipnet_mmpose.evaluation.boxes import largest_ious

    images, boxes = data.persons.images, data.persons.boxes
    kind, num_images = type(data.dataset).__name__, len(np.unique(images))
    print(f'  {data.key} ({kind}): {len(boxes):,} persons in {num_images:,} images')
    bins = np.digitize(largest_ious(images, boxes), list(OVERLAPS.values())) - 1
    print_table('persons by their largest box IoU with another person', OVERLAPS, bins)


def count_siblings(dataset):
    """How many siblings are in each crop of a training dataset, (P,)."""
    import mmpose.datasets.transforms as stock
    import numpy as np

    from mipnet_mmpose.datasets.multi_instance_dataset import chain_datasets
    from mipnet_mmpose.datasets.transforms.multi_instance_target import count_in_crop

    cropping = stock.KeypointConverter, stock.GetBBoxCenterScale, stock.TopdownAffine
    counts = []
    for chain, index in zip(chain_datasets(dataset.dataset), dataset.sibling_indices):
        holders = [holder for holder in chain if hasattr(holder, 'pipeline')]
        steps = [step for holder in holders for step in holder.pipeline.transforms]
        steps = [step for step in steps if isinstance(step, cropping)]
        for i in range(len(index)):
            rows = dict(index.siblings(i), bbox=index.boxes[[i]], img=[])
            counts.append(0)
            if len(rows['keypoints']):
                for step in steps:
                    rows = step(rows)
                visible = rows['keypoints_visible']
                keypoints = rows['transformed_keypoints']
                seen = count_in_crop(keypoints, visible, rows['input_size'])
                counts[-1] = (seen >= dataset.min_keypoints).sum()
    return np.array(counts)


def show_training(cfg, args):
    """Count the siblings of the training samples and draw some of them."""
    import cv2
    import numpy as np
    from mmengine.runner import set_random_seed
    from mmpose.registry import DATASETS

    from mipnet_mmpose.datasets.multi_instance_dataset import chain_datasets
    from mipnet_mmpose.visualization.draw_targets import draw_samples
    from mipnet_mmpose.whole_files import written_whole

    whole = cfg.train_dataloader.dataset
    if 'MultiInstanceDataset' not in str(whole):
        print('  no MultiInstanceDataset in this config')
        whole = dict(type='MultiInstanceDataset', dataset=whole, num_instances=1)
    with contextlib.redirect_stdout(io.StringIO()):  # xtcocotools talks
        dataset = DATASETS.build(whole)
        dataset.full_init()
    parts = (part for chain in chain_datasets(dataset) for part in chain)
    ours = next(part for part in parts if hasattr(part, 'sibling_indices'))
    siblings = count_siblings(ours)
    lone = ': no sibling is learnt' if ours.num_instances == 1 else ''
    print(f'  N = {ours.num_instances} per box{lone}')
    title = f'crops by the number of siblings with at least {ours.min_keypoints} '
    bins = np.minimum(siblings, len(SIBLINGS) - 1)
    print_table(f'{title}labelled keypoints inside', SIBLINGS, bins)
    if args.samples > 0:
        set_random_seed(args.seed)
        picture, path = draw_samples(dataset, siblings, args.samples), args.out
        if path.suffix.lower() not in ('.png', '.jpg', '.jpeg'):
            path = path / f'{Path(args.config).stem}.png'
        with written_whole(path) as part:
            if not cv2.imwrite(str(part), picture):
                raise OSError(f'{path} cannot be written')
        print(path)


def run(args):
    from mipnet_mmpose.datasets import data_checks, truth_checks

    findings, examined = data_checks.Findings(), {}
    with findings.catching(f'CONFIG {args.config}'):
        cfg = read_config(args)
    for name in LOADERS if not findings.errors else ():
        key = f'{name}_dataloader.dataset'
        whole = (cfg.get(f'{name}_dataloader') or {}).get('dataset')
        print(f'{name}_dataloader' + ('' if whole else ': none'))
        if not whole:
            continue
        data, before = examined.get(str(whole)), findings.errors
        if data:
            print('  the dataset of val_dataloader')
        else:
            flags = ('ignore_orientation', 'unchanged')
            turns = not any(flag in str(whole) for flag in flags)
            stock = data_checks.stock_dataset_configs(whole, key)
            examine = data_checks.examine_dataset
            data = examined[str(whole)] = [examine(findings, *s, turns) for s in stock]
            for one in data:
                if one and one.persons:
                    describe(one)
        if name == 'train' and findings.errors == before:
            with findings.catching(key):
                show_training(cfg, args)
        if all(data):
            evaluator = f'{name}_evaluator'
            with findings.catching(evaluator):
                truth_checks.examine_evaluator(
                    findings, evaluator, cfg.get(evaluator), data
                )
            with findings.catching('model'):
                model = cfg.get('model') or {}
                truth_checks.examine_numbers(findings, model, name, whole, data)
    if findings.errors:
        where = os.getcwd()
        sys.exit(f'{findings.errors} problem(s). Relative paths start at {where}')


if __name__ == '__main__':
    run_tool(run, parse_args())
