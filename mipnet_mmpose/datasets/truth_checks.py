"""Whether COCO's evaluation of a config can be right, for ``mipnet check_data``."""

import os
from collections import Counter
from typing import Any

import numpy as np
from mmpose.evaluation.metrics import CocoMetric, PoseTrack18Metric
from mmpose.registry import METRICS

from ..evaluation.metric_configs import metric_configs
from .data_checks import ERROR, WARNING, Data, Findings, is_labelled, read_annotations

BEST = 20  # poses of an image that COCO's evaluation looks at
CONVERTERS = ('KeypointConverter', 'gt_converter', 'pred_converter')


def examine_evaluator(
    findings: Findings, key: str, evaluator: Any, cfg: dict, data: list[Data]
) -> None:
    """Examine the ground truth of an evaluator's metrics of COCO's kind.

    ``cfg`` is of the dataset that is evaluated, ``data`` its parts, all readable.
    """
    for name, metric in metric_configs(evaluator, key):
        kind = metric['type']
        kind = kind if isinstance(kind, type) else METRICS.get(kind)
        if 'metric' in metric or kind is None or not issubclass(kind, CocoMetric):
            continue
        path = metric.get('ann_file') or data[0].dataset.ann_file
        where = f'{name}.ann_file: {path}'
        if not os.path.isfile(path):
            findings.add(ERROR, where, 'is missing')
            continue
        same = [d for d in data if os.path.samefile(path, d.dataset.ann_file)]
        content = same and same[0].content or read_annotations(findings, where, path)
        written = metric.get('format_only') or issubclass(kind, PoseTrack18Metric)
        if content and not written:
            meta = (same or data)[0].dataset.metainfo
            converted = any(word in str([cfg, metric]) for word in CONVERTERS)
            if not len(meta['sigmas']):
                what = f'metainfo of the dataset has no sigmas, for the OKS of {kind}'
                findings.add(ERROR, where, what)
            num = None if converted else meta['num_keypoints']
            part = same[0] if same else data[0] if len(data) == 1 else None
            _examine_truth(findings, where, content, metric, num, part)


def _examine_truth(findings, where, content, metric, num, part) -> None:
    def flag(entries, bad, what):
        findings.flag(where, entries, bad, what)

    categories = {category['id'] for category in content.get('categories') or ()}
    images = {image['id']: image for image in content['images']}
    people = [p for p in content.get('annotations') or [] if p['image_id'] in images]
    unknown = [p['category_id'] not in categories for p in people]
    what = 'annotations are not evaluated: categories lacks their category_id'
    flag(people, unknown, what)
    people = [p for p, bad in zip(people, unknown) if not bad]
    for key in ('bbox', 'keypoints'):
        flag(people, (key not in p for p in people), f'annotations have no {key}')
    crowd = metric.get('iou_type') == 'keypoints_crowd'
    if crowd:
        entries = list(images.values())
        flag(entries, ('crowdIndex' not in i for i in entries), 'images: no crowdIndex')
    has = (lambda p: p.get('num_keypoints')) if crowd else is_labelled
    people = [p for p in people if has(p) and not p.get('iscrowd')]
    if not people:
        what = 'nobody has a labelled keypoint, iscrowd=0 and a category of categories'
        findings.add(ERROR, where, f'{what}: AP would be -1')
    shapes = [np.shape(p.get('keypoints')) for p in people]
    bad = (num is not None and shape != (3 * num,) for shape in shapes)
    flag(people, bad, f'persons do not have {num} keypoints, as metainfo has')
    area = 'area' if metric.get('use_area', True) else 'bbox'
    what = f'persons have no {area} that is a number above 0: they are never found'
    flag(people, (not _size(p.get(area)) > 0 for p in people), what)
    in_image = Counter(person['image_id'] for person in people)
    what = f'images have over {BEST} persons: the best {BEST} poses are evaluated'
    fault = WARNING, what
    full = (fault if in_image[i] > BEST else None for i in images)
    findings.group(where, list(images.values()), full)
    if part and part.ids is None:
        bad = (person['category_id'] != 1 for person in people)
        flag(people, bad, 'persons are not of category 1, as the boxes of bbox_file')
    elif part:
        what = 'persons are evaluated but left out by the dataset: AP is too low'
        flag(people, (p['id'] not in part.ids for p in people), what)
        again = [p['id'] in part.twice for p in people]
        if sum(again) > len(people) / 100:
            flag(people, again, 'persons are labelled twice and evaluated: AP is low')


def _size(value: Any) -> float:
    """An area, or that of a box; 0 where it is neither."""
    if isinstance(value, list) and len(value) == 4:
        return value[2] * value[3]
    return value if isinstance(value, (int, float)) else 0


def examine_numbers(
    findings: Findings, model: dict, loader: str, cfg: dict, data: list[Data]
) -> None:
    """Compare the model's number of keypoints with that of a loader's datasets.

    Where keypoints are converted the numbers may differ and nothing is compared.
    """
    head, key = model.get('head') or {}, 'model.head'
    while 'head' in head:  # MIPNetHead
        head, key = head['head'], f'{key}.head'
    name = 'num_joints' if 'num_joints' in head else 'out_channels'
    num = head.get(name)
    if type(num) is not int or any(word in str(cfg) for word in CONVERTERS):
        return
    if 'combined' in str(head.get('decoder') or {}):  # UDP's, with two offsets
        num //= 3
    chosen = (model.get('test_cfg') or {}).get('output_keypoint_indices')
    num = len(chosen) if chosen and loader != 'train' else num
    for one in data:
        described = one.dataset.metainfo['num_keypoints']
        if described != num:
            what = f'{num} keypoints, metainfo of {one.key} has {described}'
            findings.add(ERROR, f'{key}.{name}', what)
