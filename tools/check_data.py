"""Check a config's data: which files are there, who shares a crop, what is learnt.

For the train, val and test loaders of any top-down config: what is wrong with the files
(ERROR: MMPose stops or a number is wrong; WARNING: left out or doubtful), how much the
persons' boxes overlap, and for the training samples how many siblings lie in each crop,
without augmentation. A picture shows training samples as the network sees them, each
with the targets of all lambdas. Exits with status 1 where there is an ERROR.
"""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

LOADERS = ('train', 'val', 'test')
OVERLAPS = {'< 0.1': 0, '0.1 - 0.5': 0.1, '0.5 - 0.75': 0.5, '>= 0.75': 0.75}
SIBLINGS = ['0', '1', '2', '3', '4', '>= 5']


class Help(
    argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter
):
    """Defaults behind each argument, the description as it is."""


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        prog='mipnet check_data', description=__doc__, formatter_class=Help
    )
    add = parser.add_argument
    add('config', metavar='CONFIG')
    add(
        '--cfg-options',
        nargs='+',
        default=[],
        metavar='KEY=VALUE',
        help="as for MMPose's tools; train_dataloader=None leaves that loader out",
    )
    add(
        '--out',
        type=Path,
        default=Path('work_dirs/check_data'),
        help='the picture, .png or .jpg, or a folder for it',
    )
    add('--samples', type=int, default=16, help='to draw, 0 for none')
    add('--seed', type=int, default=0, help='of choice and augmentation')
    return parser.parse_args(argv)


def read_config(args):
    """The config with its options, as MMPose's tools read it."""
    from mmengine.config import Config, DictAction
    from mmengine.registry import init_default_scope

    options = argparse.ArgumentParser()
    options.add_argument('--options', nargs='*', action=DictAction, default={})
    options = options.parse_args(['--options', *args.cfg_options]).options
    cfg = Config.fromfile(args.config)
    cfg.merge_from_dict(options or {})
    if not any(cfg.get(f'{name}_dataloader') for name in LOADERS):
        raise ValueError('no train_dataloader, val_dataloader or test_dataloader')
    init_default_scope(cfg.get('default_scope', 'mmpose'))
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

    if data.persons is None:
        return
    images, boxes = data.persons.images, data.persons.boxes
    kind, num_images = type(data.dataset).__name__, len(np.unique(images))
    print(f'  {data.key} ({kind}): {len(boxes):,} persons in {num_images:,} images')
    bins = np.digitize(largest_ious(images, boxes), list(OVERLAPS.values())) - 1
    print_table('persons by their largest box IoU with another person', OVERLAPS, bins)


def count_siblings(dataset):
    """How many siblings are in each crop of a training dataset, (P,); and print it."""
    import numpy as np
    from mmengine.dataset import BaseDataset
    from mmpose.datasets.transforms import (
        GetBBoxCenterScale,
        KeypointConverter,
        TopdownAffine,
    )
    from tqdm import tqdm

    from mipnet_mmpose.datasets.multi_instance_dataset import chain_datasets
    from mipnet_mmpose.datasets.transforms.multi_instance_target import count_in_crop

    counts = []
    for (part, *around), index in zip(chain_datasets(dataset), dataset.sibling_indices):
        steps = [
            step
            for one in (part, *around[:-1])
            for step in getattr(getattr(one, 'pipeline', None), 'transforms', ())
            if isinstance(step, (KeypointConverter, GetBBoxCenterScale, TopdownAffine))
        ]
        # no bar where there is no terminal
        for i in tqdm(range(len(part)), desc='crops', leave=False, disable=None):
            keypoints, visible = index[i]
            counts.append(0)
            if len(keypoints):
                # an empty list of images: no pixel is moved
                results = dict(BaseDataset.get_data_info(part, i), img=[])
                results.update(keypoints=keypoints, keypoints_visible=visible)
                for step in steps:
                    results = step(results)
                names = 'transformed_keypoints', 'keypoints_visible', 'input_size'
                seen = count_in_crop(*(results[name] for name in names))
                counts[-1] = (seen >= dataset.min_keypoints).sum()
    needed = f'at least {dataset.min_keypoints} labelled keypoints inside'
    lone = ': no sibling is learnt' if dataset.num_instances == 1 else ''
    print(f'  N = {dataset.num_instances} per box{lone}')
    title = f'crops by the number of siblings with {needed}'
    print_table(title, SIBLINGS, np.minimum(counts, len(SIBLINGS) - 1))
    return np.array(counts)


def show_training(cfg, args):
    """Count the siblings of the training samples and draw some of them."""
    import cv2
    from mmengine.runner import set_random_seed
    from mmpose.registry import DATASETS

    from mipnet_mmpose.datasets.multi_instance_dataset import walk_datasets
    from mipnet_mmpose.visualization.draw_targets import draw_samples
    from mipnet_mmpose.whole_files import written_whole

    whole = cfg.train_dataloader.dataset
    if 'MultiInstanceDataset' not in str(whole):
        print('  no MultiInstanceDataset in this config')
        whole = dict(type='MultiInstanceDataset', dataset=whole, num_instances=1)
    dataset = DATASETS.build(whole)
    dataset.full_init()
    parts = walk_datasets(dataset)
    siblings = count_siblings(next(p for p in parts if hasattr(p, 'sibling_indices')))
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
    """Examine everything; the number of errors."""
    try:
        cfg = read_config(args)
    except Exception as error:  # whatever the Python in a config raises
        sys.exit(f'check_data: CONFIG {args.config}: {error}')
    from mipnet_mmpose.datasets.data_checks import Findings, examine_dataset
    from mipnet_mmpose.datasets.truth_checks import examine_evaluator, examine_numbers
    from mipnet_mmpose.datasets.unwrap import stock_dataset_configs

    findings, examined, printed = Findings(), {}, 0

    def report():
        nonlocal printed
        for severity, where, what in findings[printed:]:
            print(f'  {severity:8} {where}: {what}', flush=True)
        printed = len(findings)

    def attempt(key, function, *arguments):
        try:
            function(*arguments)
        except Exception as error:  # whatever a dataset or transform raises
            findings.add('ERROR', key, error)

    for name in LOADERS:
        key = f'{name}_dataloader.dataset'
        whole = (cfg.get(f'{name}_dataloader') or {}).get('dataset')
        print(f'{name}_dataloader' + ('' if whole else ': none'))
        if not whole:
            continue
        turns = not any(w in str(whole) for w in ('ignore_orientation', 'unchanged'))
        data = examined.get(str(whole))
        if data:
            print('  the dataset of val_dataloader')
        else:
            before = findings.errors
            stock = stock_dataset_configs(whole, key)
            data = [examine_dataset(findings, k, c, turns) for k, c in stock]
            examined[str(whole)] = data
            report()
            for one in filter(None, data):
                describe(one)
            if name == 'train' and findings.errors == before:
                attempt(key, show_training, cfg, args)
        if all(data):
            key = f'{name}_evaluator'
            attempt(key, examine_evaluator, findings, key, cfg.get(key), whole, data)
        report()
    attempt('model', examine_numbers, findings, cfg)
    report()
    return findings.errors


def main(argv=None):
    args = parse_args(argv)
    try:
        errors = run(args)
    except KeyboardInterrupt:
        print('interrupted', file=sys.stderr)
        sys.exit(130)
    if errors:
        sys.exit(f'{errors} problem(s). Relative paths start at {os.getcwd()}')


if __name__ == '__main__':
    main()
