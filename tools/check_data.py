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
from tqdm import tqdm

from mipnet_mmpose.datasets import (
    GenerateMultiInstanceTarget,
    MultiInstanceDataset,
    dataset_files,
)
from mipnet_mmpose.datasets.image_paths import image_paths, on_disk, paths_outside
from mipnet_mmpose.datasets.multi_instance_dataset import is_stock, walk_datasets
from mipnet_mmpose.datasets.num_keypoints import check_num_keypoints
from mipnet_mmpose.datasets.transforms.multi_instance_target import count_in_crop
from mipnet_mmpose.datasets.unwrap import (
    is_wrapper,
    stock_dataset_configs,
    walk_dataset_configs,
)
from mipnet_mmpose.evaluation.boxes import largest_ious
from mipnet_mmpose.evaluation.ground_truth import check_metric_config
from mipnet_mmpose.evaluation.metric_configs import metric_configs
from mipnet_mmpose.visualization import picture_grid
from mipnet_mmpose.visualization.draw_targets import choose_samples, draw_targets
from mipnet_mmpose.whole_files import written_whole

LOADERS = ('train', 'val', 'test')
OVERLAPS = {'< 0.1': 0, '0.1 - 0.5': 0.1, '0.5 - 0.75': 0.5, '>= 0.75': 0.75}
SIBLINGS = ['0', '1', '2', '3', '4', '>= 5']
PICTURE_WIDTH = 1920  # pixels, at most


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


def keep(key, cfg, readable):
    """A dataset config without the stock datasets that cannot be read."""
    if 'datasets' in cfg:
        inner = enumerate(cfg['datasets'])
        parts = [keep(f'{key}.datasets.{i}', part, readable) for i, part in inner]
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
    configs = dict(walk_dataset_configs(cfg, key))
    stock = {k: c for k, c in configs.items() if not is_wrapper(c)}
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
            if changes and not len(part):
                print(f'  {k}: nobody is annotated, the boxes are those of bbox_file')
                continue
            read_persons(report, k, part)
    if failure and report.problems == before:
        report.problem('ERROR', key, failure)


def check_files(report, key, cfg):
    """Look for a stock dataset's files, and at them; whether it can be read."""
    with report.attempt(key):
        dataset = build(cfg, pipeline=[], lazy_init=True)
        mode = getattr(dataset, 'data_mode', 'topdown')
        if mode != 'topdown':
            raise ValueError(f"data_mode is {mode!r}, only 'topdown' can be checked")
        readable = report.file(f'{key}.ann_file', dataset.ann_file)
        for name, folder in dataset.data_prefix.items():
            report.file(f'{key}.data_prefix.{name}', folder)
        bbox_file = cfg.get('bbox_file')
        found = not bbox_file or report.file(f'{key}.bbox_file', bbox_file)
        before = report.problems
        if readable:
            dataset.bbox_file = bbox_file if found else None
            with report.attempt(f'{key}.{"bbox_file" if bbox_file else "ann_file"}'):
                dataset_files.check_dataset_files(dataset, key)
                if bbox_file and found:
                    print(f'           {len(build(cfg, pipeline=[])):,} boxes in it')
        return readable and report.problems == before


def check_evaluator(report, key, evaluator, dataset):
    """Look at the annotations of the metrics, which ``dataset`` describes."""
    several = isinstance(evaluator, dict) and evaluator.get('datasets')
    found = metric_configs(evaluator, key)
    found = [(k, metric) for k, metric in found if not k.endswith('.metric')]
    for (k, metric), one in zip(found, several or [dataset] * len(found)):
        path = metric.get('ann_file')
        if not path or report.file(f'{k}.ann_file', path):
            with report.attempt(k), contextlib.redirect_stdout(io.StringIO()):
                check_metric_config(metric, one)


def check_as_coco(report, cfg):
    """Without a metric in the config: whether COCO's could evaluate these data."""
    for loader in (f'{name}_dataloader' for name in LOADERS):
        dataset = (cfg.get(loader) or dict(dataset=dict(datasets=[])))['dataset']
        for key, stock in stock_dataset_configs(dataset, f'{loader}.dataset'):
            with report.attempt(f'{key}.ann_file'):
                dataset_files.check_as_ground_truth(
                    build(stock, pipeline=[], lazy_init=True)
                )


class Persons(NamedTuple):
    """The samples of a dataset, P of them."""

    image_paths: List[str]
    siblings: np.ndarray  # how many are in the crop, (P,)


def check_train(report, keys, dataset):
    """Check the samples of a training dataset; the dataset and its persons."""
    parts = walk_datasets(dataset)
    ours = next(part for part in parts if isinstance(part, MultiInstanceDataset))
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
    """Read and print who is in a stock dataset, ``key`` of the config.

    With ``index``, the :class:`SiblingIndex`, siblings are counted: those with
    ``min_keypoints`` inside what the transforms ``crop`` convert and cut out.
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
    # no bar where there is no terminal
    for i in tqdm(range(total), desc='persons', leave=False, disable=None):
        info = BaseDataset.get_data_info(dataset, i)
        paths.append(image_paths(info))
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

    frames = [own for own, *_ in paths]  # of a video the person's own
    images = sorted(set(frames))
    kind = type(dataset).__name__
    print(f'  {key} ({kind}): {total:,} persons in {len(images):,} images')
    bins = np.digitize(largest_ious(frames, boxes), list(OVERLAPS.values())) - 1
    table('persons by their largest box IoU with another person', OVERLAPS, bins)
    if index:
        needed = f'at least {min_keypoints} labelled keypoints inside'
        bins = np.minimum(siblings, len(SIBLINGS) - 1)
        table(f'crops by the number of siblings with {needed}', SIBLINGS, bins)
    files = sorted({path for own in paths for path in own})
    lost = [path for path, found in zip(files, on_disk(files)) if not found]
    if lost:
        what = f'{len(lost):,} of {len(files):,} images, such as {lost[0]}'
        report.problem('MISSING', f'{key}.data_prefix', what)
    return Persons(frames, siblings)


def table(title, labels, bins):
    """Print how many there are of each label, and the share of all."""
    counts = np.bincount(bins, minlength=len(labels))
    shares = [f'{share:.1f} %' for share in 100 * counts / len(bins)]
    print(f'    {title}')
    for row in (labels, [f'{count:,}' for count in counts], shares):
        print('    ' + ''.join(f'{cell:>12}' for cell in row))


def draw_picture(report, dataset, persons, num_samples, seed):
    """Training samples in columns, (H, W, 3); None where none can be drawn."""
    generator = first_transform(GenerateMultiInstanceTarget, *walk_datasets(dataset))
    num_instances, codec = generator.num_instances, generator.encoder
    codec = codec[-1] if isinstance(codec, list) else codec
    skeleton = dataset.metainfo['skeleton_links']
    set_random_seed(seed)
    strips = []
    for i in choose_samples(*persons, num_samples, num_instances - 1):
        with report.attempt(persons.image_paths[i]):
            strips.append(draw_targets(dataset[i], codec, num_instances, skeleton))
            continue
        break  # the next would fail the same way
    if not strips:
        return None
    titles = ['crop', *(f'lambda {i}' for i in range(num_instances))]
    most = max(PICTURE_WIDTH // strips[0].shape[1], 1)
    columns = min(range(most, most // 2, -1), key=lambda n: -len(strips) % n)
    return picture_grid(strips, titles, columns)


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
        evaluator = cfg.get(f'{name}_evaluator')
        check_evaluator(report, f'{name}_evaluator', evaluator, loader['dataset'])
    if not any(cfg.get(f'{name}_evaluator') for name in LOADERS):
        if not report.problems:
            check_as_coco(report, cfg)
    try:
        check_num_keypoints(cfg)
    except Exception as error:  # or a dataset that cannot be built: named above
        if isinstance(error, ValueError) or not report.problems:
            report.problem('ERROR', 'model.head', error)
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
