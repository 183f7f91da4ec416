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

LOADERS = ('train', 'val', 'test')
OVERLAPS = {'< 0.1': 0, '0.1 - 0.5': 0.1, '0.5 - 0.75': 0.5, '>= 0.75': 0.75}
SIBLINGS = ['0', '1', '2', '3', '4', '>= 5']
PAIRS_AT_ONCE = 100_000


def parse_args(argv=None):
    with_defaults = argparse.ArgumentDefaultsHelpFormatter
    parser = argparse.ArgumentParser(
        'mipnet check_data', description=__doc__, formatter_class=with_defaults
    )
    add = parser.add_argument
    add('config', metavar='CONFIG')
    what = "as for MMPose's tools; train_dataloader=None leaves that loader out"
    add('--cfg-options', nargs='+', default=[], metavar='KEY=VALUE', help=what)
    out, what = 'work_dirs/check_data', 'the picture, .png or .jpg, or a folder for it'
    add('--out', type=Path, default=Path(out), help=what)
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
    """How many siblings are in each crop of a training dataset, (P,)."""
    import mmpose.datasets.transforms as stock
    import numpy as np
    from mmpose.structures.bbox import bbox_xyxy2cs

    from mipnet_mmpose.datasets.multi_instance_dataset import chain_datasets
    from mipnet_mmpose.datasets.transforms.multi_instance_target import count_in_crop

    counts = []
    for chain, index in zip(chain_datasets(dataset), dataset.sibling_indices):
        holders = [one for one in chain[:-1] if hasattr(one, 'pipeline')]
        steps = [step for holder in holders for step in holder.pipeline.transforms]
        rows = dict(keypoints=index.keypoints, keypoints_visible=index.visible)
        for step in steps:
            if isinstance(step, stock.KeypointConverter):
                rows = step(rows)
        crops = [step for step in steps if isinstance(step, stock.TopdownAffine)]
        if len(crops) != 1:
            raise ValueError('siblings are counted after one TopdownAffine')
        scaling = [s for s in steps if isinstance(s, stock.GetBBoxCenterScale)]
        padding = scaling[0].padding if scaling else 1
        centers, scales = bbox_xyxy2cs(index.boxes, padding)
        width, height = crops[0].input_size
        scales = crops[0]._fix_aspect_ratio(scales, width / height)
        size = np.array([width, height]) - bool(crops[0].use_udp)
        found = np.zeros(len(index), int)
        for start in range(0, len(index.person), PAIRS_AT_ONCE):
            pairs = slice(start, start + PAIRS_AT_ONCE)
            person, other = index.person[pairs], index.other[pairs]
            offset = rows['keypoints'][other] - centers[person, None]
            places = offset * (size / scales[person])[:, None] + size / 2
            visible = rows['keypoints_visible'][other]
            seen = count_in_crop(places, visible, crops[0].input_size)
            np.add.at(found, person, seen >= dataset.min_keypoints)
        counts.append(found)
    return np.concatenate(counts)


def show_training(cfg, args):
    """Count the siblings of the training samples and draw some of them."""
    import cv2
    import numpy as np
    from mmengine.runner import set_random_seed
    from mmpose.registry import DATASETS

    from mipnet_mmpose.datasets.multi_instance_dataset import walk_datasets
    from mipnet_mmpose.visualization.draw_targets import draw_samples
    from mipnet_mmpose.whole_files import written_whole

    whole = cfg.train_dataloader.dataset
    if 'MultiInstanceDataset' not in str(whole):
        print('  no MultiInstanceDataset in this config')
        whole = dict(type='MultiInstanceDataset', dataset=whole, num_instances=1)
    with contextlib.redirect_stdout(io.StringIO()):  # xtcocotools talks
        dataset = DATASETS.build(whole)
        dataset.full_init()
    ours = next(p for p in walk_datasets(dataset) if hasattr(p, 'sibling_indices'))
    siblings = count_siblings(ours)
    lone = ': no sibling is learnt' if ours.num_instances == 1 else ''
    print(f'  N = {ours.num_instances} per box{lone}')
    title = 'crops by the number of siblings with at least {} labelled keypoints inside'
    bins = np.minimum(siblings, len(SIBLINGS) - 1)
    print_table(title.format(ours.min_keypoints), SIBLINGS, bins)
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
    from mipnet_mmpose.datasets import data_checks, truth_checks

    findings, examined, printed = data_checks.Findings(), {}, 0

    def attempt(key, function, *arguments):
        try:
            function(*arguments)
        except Exception as error:  # whatever a dataset or transform raises
            findings.add('ERROR', key, f'{type(error).__name__}: {error}')

    def report():
        nonlocal printed
        for severity, where, what in findings[printed:]:
            print(f'  {severity:8} {where}: {what}', flush=True)
        printed = len(findings)

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
            stock = data_checks.stock_dataset_configs(whole, key)
            examine = data_checks.examine_dataset
            data = [examine(findings, k, c, turns) for k, c in stock]
            examined[str(whole)] = data
            report()
            for one in filter(None, data):
                describe(one)
            if name == 'train' and findings.errors == before:
                attempt(key, show_training, cfg, args)
        if all(data):
            arguments = findings, f'{name}_evaluator', cfg.get(f'{name}_evaluator')
            attempt(
                arguments[1], truth_checks.examine_evaluator, *arguments, whole, data
            )
            model = cfg.get('model') or {}
            examine = truth_checks.examine_numbers
            attempt('model', examine, findings, model, name, whole, data)
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
