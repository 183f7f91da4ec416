"""Check a config's data: which files are there, who shares a crop, what is learnt.

For the train, val and test loaders of any top-down config: the files, the numbers of
images and persons, how much the persons' boxes overlap; for the training samples also
how many siblings lie in each crop, without augmentation. A picture shows training
samples as the network sees them, each with the targets of all lambdas.
"""

import argparse
import contextlib
import io
import os
import sys
from collections import Counter, defaultdict
from pathlib import Path
from typing import List, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
import numpy as np
from mmengine.config import Config, DictAction
from mmengine.dataset import BaseDataset, Compose
from mmengine.registry import init_default_scope
from mmengine.runner import set_random_seed
from mmpose.datasets.transforms import (
    GetBBoxCenterScale,
    KeypointConverter,
    TopdownAffine,
)
from mmpose.registry import DATASETS
from mmpose.structures import MultilevelPixelData

from mipnet_mmpose.datasets import GenerateMultiInstanceTarget, MultiInstanceDataset
from mipnet_mmpose.datasets.image_paths import paths_outside
from mipnet_mmpose.datasets.multi_instance_dataset import is_stock, walk_datasets
from mipnet_mmpose.datasets.transforms.multi_instance_target import count_in_crop
from mipnet_mmpose.evaluation.boxes import box_iou
from mipnet_mmpose.visualization import COLORS, draw_poses
from mipnet_mmpose.whole_files import written_whole

LOADERS = ('train', 'val', 'test')
OVERLAPS = {'< 0.1': 0, '0.1 - 0.5': 0.1, '0.5 - 0.75': 0.5, '>= 0.75': 0.75}
SIBLINGS = ['0', '1', '2', '3', '4', '>= 5']
CELL_HEIGHT, PICTURE_WIDTH, BAR, GAP = 208, 1920, 26, 12  # pixels, the width at most


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='Exits with status 1 where something is missing or cannot be read.',
    )
    parser.add_argument('config', metavar='CONFIG')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        metavar='KEY=VALUE',
        help="as for MMPose's tools; train_dataloader=None leaves that loader out",
    )
    parser.add_argument(
        '--out',
        type=Path,
        default=Path('work_dirs/check_data'),
        help='the picture, .png or .jpg, or a folder for it (default: %(default)s)',
    )
    parser.add_argument(
        '--samples', type=int, default=16, help='to draw, 0 for none (default: 16)'
    )
    parser.add_argument(
        '--seed', type=int, default=0, help='of choice and augmentation (default: 0)'
    )
    return parser.parse_args(argv)


class Report:
    """Prints what is found and counts what is wrong."""

    def __init__(self):
        self.problems = 0

    def problem(self, kind, key, what):
        self.problems += 1
        print(f'  {kind:8} {key}: {what}', flush=True)

    def file(self, key, path):
        """Whether the file or folder of a config key exists."""
        if os.path.exists(path or '.'):
            print(f'  found    {key}: {path}', flush=True)
            return True
        self.problem('MISSING', key, path)
        return False

    @contextlib.contextmanager
    def attempt(self, key):
        """Report what fails in here."""
        try:
            yield
        except Exception as error:  # whatever a dataset or transform raises
            self.problem('ERROR', key, error)


def build(cfg, **changes):
    """A dataset with its annotations read, except for ``lazy_init``."""
    with contextlib.redirect_stdout(io.StringIO()):  # xtcocotools talks
        dataset = DATASETS.build(dict(cfg, **changes))
        if not changes.get('lazy_init'):
            dataset.full_init()
    return dataset


def walk_configs(key, cfg):
    """The key and config of a dataset and of those inside it, the outer ones first."""
    yield key, cfg
    if 'datasets' in cfg:
        for i, part in enumerate(cfg['datasets']):
            yield from walk_configs(f'{key}.datasets.{i}', part)
    elif 'dataset' in cfg:
        yield from walk_configs(f'{key}.dataset', cfg['dataset'])


def keep(key, cfg, readable):
    """A dataset config without the stock datasets that cannot be read."""
    if 'datasets' in cfg:
        parts = [
            keep(f'{key}.datasets.{i}', part, readable)
            for i, part in enumerate(cfg['datasets'])
        ]
        parts = [part for part in parts if part]
        # without sample_ratio_factor, which draws samples by chance
        rest = {k: v for k, v in cfg.items() if k != 'sample_ratio_factor'}
        return parts and dict(rest, datasets=parts)
    if 'dataset' in cfg:
        part = keep(f'{key}.dataset', cfg['dataset'], readable)
        return part and dict(cfg, dataset=part)
    return cfg if key in readable else None


def check_loader(report, name, cfg):
    """Check the dataset of a loader, but for what the picture shows.

    Returns:
        tuple | None: the training dataset and its :class:`Persons`.
    """
    key = f'{name}_dataloader.dataset'
    configs = dict(walk_configs(key, cfg))
    stock = {k: c for k, c in configs.items() if not {'dataset', 'datasets'} & set(c)}
    stock = {k: c for k, c in stock.items() if check_files(report, k, c)}
    failure = None
    if name == 'train' and stock:
        whole = keep(key, cfg, stock)
        ours = ('MultiInstanceDataset', MultiInstanceDataset)
        if not any(c['type'] in ours for c in configs.values()):
            print('  no MultiInstanceDataset in this config')
            whole = dict(type='MultiInstanceDataset', dataset=whole, num_instances=1)
        try:
            return check_train(report, stock, build(whole))
        except Exception as error:  # as in Report.attempt
            failure = error
    before = report.problems
    for k, c in stock.items():
        with report.attempt(f'{k}.ann_file'):
            changes = {'bbox_file': None} if c.get('bbox_file') else {}
            # an empty dataset cannot be serialized
            part = build(c, pipeline=[], serialize_data=False, **changes)
            read_persons(report, k, part)
    if failure and report.problems == before:
        report.problem('ERROR', key, failure)


def check_files(report, key, cfg):
    """Look for a stock dataset's files; whether its persons can be read."""
    with report.attempt(key):
        dataset = build(cfg, pipeline=[], lazy_init=True)
        mode = getattr(dataset, 'data_mode', 'topdown')
        if mode != 'topdown':
            raise ValueError(f"data_mode is {mode!r}, only 'topdown' can be checked")
        readable = report.file(f'{key}.ann_file', dataset.ann_file)
        for name, folder in dataset.data_prefix.items():
            report.file(f'{key}.data_prefix.{name}', folder)
        bbox_file = cfg.get('bbox_file')
        if bbox_file and report.file(f'{key}.bbox_file', bbox_file) and readable:
            with report.attempt(f'{key}.bbox_file'):
                print(f'           {len(build(cfg, pipeline=[])):,} boxes in it')
        return readable


def check_evaluator(report, key, evaluator):
    """Look for the annotations of the metrics."""
    if isinstance(evaluator, (list, tuple)):
        for i, metric in enumerate(evaluator):
            check_evaluator(report, f'{key}.{i}', metric)
    elif evaluator and evaluator.get('ann_file'):
        report.file(f'{key}.ann_file', evaluator['ann_file'])


class Persons(NamedTuple):
    """The samples of a dataset, P of them."""

    image_paths: List[str]
    siblings: np.ndarray  # how many are in the crop, (P,)


def check_train(report, keys, dataset):
    """Check the samples of a training dataset; the dataset and its persons."""
    ours = multi_instance_dataset(dataset)
    lone = ': no sibling is learnt' if ours.num_instances == 1 else ''
    print(f'  N = {ours.num_instances} per box{lone}')
    persons = []
    outer = [part for part in walk_datasets(dataset) if not is_stock(part)]
    stock = filter(is_stock, walk_datasets(dataset))
    for key, part, index in zip(keys, stock, ours.sibling_indices):
        crop = [
            *transforms(KeypointConverter, part, *outer),
            first_transform(GetBBoxCenterScale, part, *outer),
            first_transform(TopdownAffine, part, *outer),
        ]
        persons.append(read_persons(report, key, part, index, crop, ours.min_keypoints))
    return dataset, Persons(*map(np.concatenate, zip(*persons)))


def multi_instance_dataset(dataset):
    parts = walk_datasets(dataset)
    return next(part for part in parts if isinstance(part, MultiInstanceDataset))


def transforms(kind, *datasets):
    """The transforms of a kind in the pipelines of the datasets."""
    for dataset in datasets:
        for transform in getattr(dataset, 'pipeline', Compose([])).transforms:
            if isinstance(transform, kind):
                yield transform


def first_transform(kind, *datasets):
    """The first transform of a kind in the pipelines of the datasets."""
    for transform in transforms(kind, *datasets):
        return transform
    raise ValueError(f'dataset.pipeline has no {kind.__name__}')


def read_persons(report, key, dataset, index=None, crop=None, min_keypoints=None):
    """Read and print who is in a stock dataset.

    Args:
        report (Report): For what is missing.
        key (str): Config key of the dataset.
        dataset (BaseDataset): The stock dataset.
        index (SiblingIndex, optional): Without it siblings are not counted.
        crop (list[BaseTransform], optional): What converts keypoints and crops a box.
        min_keypoints (int, optional): A sibling needs this many inside the crop.
    """
    total = len(dataset)
    if total == 0:
        raise ValueError('no person with a box and keypoints in it')
    outside = paths_outside(dataset)
    if outside:
        raise ValueError(
            f'{len(outside):,} images lie outside of data_root and data_prefix, '
            f'such as {outside[0]}'
        )
    paths, boxes, siblings = [], np.zeros((total, 4)), np.zeros(total, int)
    for i in range(total):
        info = BaseDataset.get_data_info(dataset, i)
        paths.append(info['img_path'])
        boxes[i] = info['bbox'][0]
        keypoints, visible = index[i] if index else ((), ())
        if len(keypoints):
            # an empty list of images: no pixel is moved
            results = dict(info, img=[], keypoints=keypoints)
            results['keypoints_visible'] = visible
            for transform in crop:
                results = transform(results)
            keypoints, visible, size = (
                results[key]
                for key in ('transformed_keypoints', 'keypoints_visible', 'input_size')
            )
            seen = count_in_crop(keypoints, visible, size)
            siblings[i] = (seen >= min_keypoints).sum()
        if i % 1000 == 0 and sys.stderr.isatty():
            print(f'{i:,} of {total:,} persons', end='\r', file=sys.stderr)

    images = sorted(set(paths))
    kind = type(dataset).__name__
    print(f'  {key} ({kind}): {total:,} persons in {len(images):,} images')
    bins = np.digitize(largest_ious(paths, boxes), list(OVERLAPS.values())) - 1
    table('persons by their largest box IoU with another person', OVERLAPS, bins)
    if index:
        needed = f'at least {min_keypoints} labelled keypoints inside'
        bins = np.minimum(siblings, len(SIBLINGS) - 1)
        table(f'crops by the number of siblings with {needed}', SIBLINGS, bins)
    lost = [path for path, found in zip(images, on_disk(images)) if not found]
    if lost:
        what = f'{len(lost):,} of {len(images):,} images, such as {lost[0]}'
        report.problem('MISSING', f'{key}.data_prefix', what)
    return Persons(paths, siblings)


def largest_ious(image_paths, boxes):
    """Of each box with another one of its image, (P,); 0 where there is none."""
    members = defaultdict(list)
    for i, path in enumerate(image_paths):
        members[path].append(i)
    largest = np.zeros(len(boxes))
    for group in members.values():
        ious = box_iou(boxes[group], boxes[group])
        np.fill_diagonal(ious, 0)
        largest[group] = ious.max(axis=1)
    return largest


def on_disk(paths):
    """Whether each file exists, each folder being listed once."""
    folders = {os.path.dirname(path) for path in paths}
    names = {f: set(os.listdir(f or '.')) for f in folders if os.path.isdir(f or '.')}
    return [os.path.basename(p) in names.get(os.path.dirname(p), ()) for p in paths]


def table(title, labels, bins):
    """Print how many there are of each label, and the share of all."""
    counts = np.bincount(bins, minlength=len(labels))
    shares = [f'{share:.1f} %' for share in 100 * counts / len(bins)]
    print(f'    {title}')
    for row in (labels, [f'{count:,}' for count in counts], shares):
        print('    ' + ''.join(f'{cell:>12}' for cell in row))


def choose_samples(persons, num_samples, num_siblings):
    """Samples to draw: with siblings first, then of images not drawn yet, by chance."""
    order = np.random.permutation(np.flatnonzero(on_disk(persons.image_paths)))
    lacking = np.maximum(max(num_siblings, 1) - persons.siblings, 0)
    order = order[np.argsort(lacking[order], kind='stable')]
    drawn = Counter()
    rank = {}
    for i in order.tolist():
        path = persons.image_paths[i]
        rank[i] = (lacking[i], drawn[path])
        drawn[path] += 1
    return sorted(rank, key=rank.get)[:num_samples]


def target_of(sample, instance, num_instances):
    """The arrays of one instance's target by name; of several levels the last."""
    targets = sample['data_samples']
    arrays = dict(targets.gt_instance_labels.items())
    if 'gt_fields' in targets:
        several = isinstance(targets.gt_fields, MultilevelPixelData)
        arrays.update((targets.gt_fields[-1] if several else targets.gt_fields).items())
    return {k: v.chunk(num_instances)[instance].numpy() for k, v in arrays.items()}


def decode(codec, target):
    """What a target stands for.

    Returns:
        tuple[np.ndarray]: keypoints in pixels of the crop (1, K, 2) and the weight
        of each in the loss (1, K), 0 for one that has left the heatmap.
    """
    if 'keypoint_x_labels' in target:
        encoded = target['keypoint_x_labels'], target['keypoint_y_labels']
    elif 'keypoint_labels' in target:
        encoded = (target['keypoint_labels'],)
    else:
        encoded = (target['heatmaps'],)
    keypoints, scores = codec.decode(*encoded)
    scores = scores[0] if isinstance(scores, tuple) else scores
    weights = target['keypoint_weights'].reshape(-1, keypoints.shape[1])[-1:]
    return keypoints, weights * (scores > 0)


def draw_sample(sample, codec, num_instances, skeleton):
    """The crop, then the target of each lambda over it in the colour of its person."""
    crop = sample['inputs'].permute(1, 2, 0).numpy().clip(0, 255).astype(np.uint8)
    scale = CELL_HEIGHT / len(crop)
    size = (round(crop.shape[1] * scale), CELL_HEIGHT)
    crop = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
    gray = cv2.cvtColor(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    cells = [crop]
    for i, who in enumerate(sample['data_samples'].gt_instances.target_instances[0]):
        target = target_of(sample, i, num_instances)
        keypoints, weights = decode(codec, target)
        color = COLORS[who % len(COLORS)]
        cell = 0.6 * gray + 16
        if 'heatmaps' in target:
            # a combined heatmap of UDP has two channels of offsets after each
            heat = target['heatmaps'][:: len(target['heatmaps']) // keypoints.shape[1]]
            heat = cv2.resize(heat.max(axis=0), size)[..., None]
            heat = (heat / max(heat.max(), 1e-6)).clip(0, 1)
            cell = cell * (1 - heat) + np.array(color) * heat
        cell = cell.round().astype(np.uint8)
        cell = draw_poses(cell, keypoints * scale, weights, skeleton, [color])
        if who != i:
            write(cell, 'person 0 again', CELL_HEIGHT - 8, color=(240, 240, 240))
        cells.append(cell)
    white = dict(borderType=cv2.BORDER_CONSTANT, value=(255, 255, 255))
    return np.hstack([cv2.copyMakeBorder(c, 0, 4, 0, 2, **white) for c in cells])


def write(image, text, bottom, left=6, color=(30, 30, 30)):
    font = cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(image, text, (left, bottom), font, 0.45, color, 1, cv2.LINE_AA)


def draw_picture(report, dataset, persons, num_samples, seed):
    """Training samples in columns, (H, W, 3); None where none can be drawn."""
    num_instances = multi_instance_dataset(dataset).num_instances
    generator = first_transform(GenerateMultiInstanceTarget, *walk_datasets(dataset))
    codec = generator.encoder
    codec = codec[-1] if isinstance(codec, list) else codec
    skeleton = dataset.metainfo['skeleton_links']
    set_random_seed(seed)
    strips = []
    for i in choose_samples(persons, num_samples, num_instances - 1):
        with report.attempt(persons.image_paths[i]):
            strips.append(draw_sample(dataset[i], codec, num_instances, skeleton))
            continue
        break  # the next would fail the same way
    if not strips:
        return None
    width = strips[0].shape[1]
    header = np.full((BAR, width, 3), 255, np.uint8)
    titles = ['crop', *(f'lambda {i}' for i in range(num_instances))]
    for i, title in enumerate(titles):
        write(header, title, BAR - 8, left=6 + i * width // len(titles))
    most = max(PICTURE_WIDTH // width, 1)
    columns = min(range(most, most // 2, -1), key=lambda n: -len(strips) % n)
    rows = -(-len(strips) // columns)
    strips += [np.full_like(strips[0], 255)] * (rows * columns - len(strips))
    parts = []
    for c in range(columns):
        parts += [np.vstack([header, *strips[c * rows : (c + 1) * rows]])]
        parts += [np.full((len(parts[0]), GAP, 3), 255, np.uint8)]
    return np.hstack(parts[:-1])


def main(argv=None):
    args = parse_args(argv)
    try:
        cfg = Config.fromfile(args.config)
        cfg.merge_from_dict(args.cfg_options)
        if not any(cfg.get(f'{name}_dataloader') for name in LOADERS):
            raise ValueError('no train_dataloader, val_dataloader or test_dataloader')
    except Exception as error:  # whatever the Python in a config raises
        sys.exit(f'check_data: CONFIG {args.config}: {error}')
    init_default_scope(cfg.get('default_scope', 'mmpose'))
    report = Report()
    train, checked = None, None
    for name in LOADERS:
        loader = cfg.get(f'{name}_dataloader')
        print(f'{name}_dataloader' + ('' if loader else ': none'))
        if not loader:
            continue
        if loader['dataset'] == checked:
            print('  the dataset of val_dataloader')
        else:
            found = check_loader(report, name, loader['dataset'])
            train, checked = train or found, loader['dataset']
        check_evaluator(report, f'{name}_evaluator', cfg.get(f'{name}_evaluator'))
    if train and args.samples > 0:
        picture = draw_picture(report, *train, args.samples, args.seed)
        path = args.out
        if path.suffix.lower() not in ('.png', '.jpg', '.jpeg'):
            path = path / f'{Path(args.config).stem}.png'
        if picture is not None:
            with report.attempt(f'--out {path}'):
                with written_whole(path) as part:
                    if not cv2.imwrite(str(part), picture):
                        raise OSError('cannot be written')
                print(path)
    if report.problems:
        sys.exit(
            f'{report.problems} problem(s). Relative paths start at {os.getcwd()}; '
            'docs/datasets.md says where the files come from'
        )


if __name__ == '__main__':
    main()
