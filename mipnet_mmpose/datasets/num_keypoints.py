"""Whether model, annotations and metainfo of a config have as many keypoints."""

import mmap
import os
import re
from typing import Optional

from mmengine.config import Config
from mmpose.datasets.datasets.base import BaseCocoStyleDataset
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS

from .unwrap import dataset_with_metainfo, is_wrapper, walk_dataset_configs

CONVERTERS = ('gt_converter', 'pred_converter')


def check_num_keypoints(cfg: Config) -> None:
    """Compare the numbers of a config.

    Where keypoints are converted (``KeypointConverter``, ``pred_converter``) numbers
    may differ and nothing is compared. An annotation file that is not here is left
    out.

    Args:
        cfg (Config): A whole config.

    Raises:
        ValueError: naming the numbers and their config keys.
    """
    whole = cfg.get('model') or {}
    given, model_key = head_num_keypoints(whole.get('head') or {})
    chosen = (whole.get('test_cfg') or {}).get('output_keypoint_indices')
    for name in ('train', 'val', 'test'):
        dataset = (cfg.get(f'{name}_dataloader') or {}).get('dataset')
        model = len(chosen) if chosen and name != 'train' else given
        if not dataset or given is None or _converts(cfg, name, dataset):
            continue
        key = f'{name}_dataloader.dataset'
        described = dataset_with_metainfo(dataset)
        metainfo = _metainfo_num_keypoints(described)
        annotated, ann_file = _annotated_num_keypoints(described)
        if {model, metainfo, annotated} - {None} != {model}:
            inner = next(
                k for k, c in walk_dataset_configs(dataset, key) if c is described
            )
            read = 'not read' if annotated is None else annotated
            raise ValueError(
                f'the numbers of keypoints differ: {model} in model.{model_key}, '
                f'{metainfo} in {inner}.metainfo (or METAINFO of its type), {read} in '
                f'{inner}.ann_file ({ann_file}): all three must be the same'
            )


def head_num_keypoints(head: dict) -> tuple:
    """Keypoints that a head of a config gives, and its config key.

    Returns:
        tuple[int | None, str]: ``None`` where the head has another way to say it.
    """
    path = 'head'
    while 'head' in head:  # MIPNetHead
        head, path = head['head'], f'{path}.head'
    for key in ('num_joints', 'out_channels'):
        num = head.get(key)
        if type(num) is int:
            decoder = head.get('decoder') or {}
            combined = isinstance(decoder, dict) and (
                decoder.get('heatmap_type') == 'combined'  # and two offsets
            )
            return (num // 3 if combined else num), f'{path}.{key}'
    return None, path


def _converts(cfg: Config, name: str, dataset: dict) -> bool:
    pipelines = [d.get('pipeline') or () for _, d in walk_dataset_configs(dataset, '')]
    metrics = cfg.get(f'{name}_evaluator') or ()
    metrics = [metrics] if isinstance(metrics, dict) else metrics
    return any(
        'KeypointConverter' in str(step['type']) for p in pipelines for step in p
    ) or any(key in str(metric) for metric in metrics for key in CONVERTERS)


def _metainfo_num_keypoints(dataset: dict) -> Optional[int]:
    if is_wrapper(dataset):
        return parse_pose_metainfo(dataset['metainfo'])['num_keypoints']
    if _kind(dataset) is None:
        return None
    return _unread(dataset).metainfo['num_keypoints']


def _annotated_num_keypoints(dataset: dict) -> tuple:
    """Of the first person in a COCO file, without reading the rest, and the file."""
    kind = None if is_wrapper(dataset) else _kind(dataset)
    stock = BaseCocoStyleDataset
    if kind is None or any(
        getattr(kind, method) is not getattr(stock, method)
        for method in ('_load_annotations', 'parse_data_info')
    ):
        return None, dataset.get('ann_file')
    path = _unread(dataset).ann_file
    if not os.path.isfile(path) or not os.path.getsize(path):
        return None, path
    with open(path, 'rb') as stream:
        with mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content:
            found = re.search(rb'"keypoints"\s*:\s*\[([-+.\deE,\s]+)\]', content)
            return found and len(found[1].split(b',')) // 3, path


def _unread(dataset: dict) -> BaseCocoStyleDataset:
    """Without its file, and not in test mode: that tells every metric of the file."""
    left_out = ('bbox_file', 'test_mode')
    rest = {key: value for key, value in dataset.items() if key not in left_out}
    return DATASETS.build(dict(rest, pipeline=[], lazy_init=True))


def _kind(dataset: dict) -> Optional[type]:
    """The class of a dataset in COCO's format."""
    kind = dataset.get('type')
    kind = kind if isinstance(kind, type) else DATASETS.get(kind or '')
    return kind if kind and issubclass(kind, BaseCocoStyleDataset) else None
