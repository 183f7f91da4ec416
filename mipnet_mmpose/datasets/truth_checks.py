"""Whether COCO's evaluation of a config can be right, for ``mipnet check_data``."""

import os
from collections import Counter
from collections.abc import Iterator
from typing import Any, Optional

import numpy as np
from mmengine.config import Config
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.evaluation.metrics import (
    CocoMetric,
    CocoWholeBodyMetric,
    PoseTrack18Metric,
)
from mmpose.registry import METRICS

from ..evaluation.metric_configs import metric_configs
from .data_checks import ERROR, WARNING, Data, Findings, build, read_annotations
from .file_faults import Fault, is_labelled
from .unwrap import dataset_with_metainfo, is_wrapper

BEST = 20  # poses of an image that COCO's evaluation looks at
WHOLE_BODY = dict(foot_kpts=6, face_kpts=68, lefthand_kpts=21, righthand_kpts=21)
CONVERTERS = ('KeypointConverter', 'gt_converter', 'pred_converter')


def examine_evaluator(
    findings: Findings, key: str, evaluator: Any, cfg: dict, data: list[Data]
) -> None:
    """Examine the ground truth of the metrics of COCO's kind.

    Args:
        findings (Findings): To add to.
        key (str): Config key of the evaluator.
        evaluator (dict | Sequence | None): Its config.
        cfg (dict): Config of the dataset that is evaluated.
        data (list[Data]): The stock datasets in that, all of which can be read.
    """
    several = isinstance(evaluator, dict) and evaluator.get('datasets')
    metrics = [m for m in metric_configs(evaluator, key) if 'metric' not in m[1]]
    for number, (name, metric) in enumerate(metrics):
        kind = metric['type']
        kind = kind if isinstance(kind, type) else METRICS.get(kind)
        if kind is None or not issubclass(kind, CocoMetric):
            continue
        path = metric.get('ann_file') or data[0].dataset.ann_file
        if not os.path.isfile(path):
            findings.add(ERROR, f'{name}.ann_file', f'{path} is missing')
            continue
        where = f'{name}.ann_file: {path}'
        same = [d for d in data if os.path.samefile(path, d.dataset.ann_file)]
        part = same[0] if same else data[0] if len(data) == 1 else None
        content = same[0].content if same else None
        content = content or read_annotations(findings, where, path)
        if content is None or metric.get('format_only'):
            continue
        if issubclass(kind, PoseTrack18Metric):
            continue  # poseval reads other files
        described = several[number] if several else cfg
        _examine_truth(findings, where, content, kind, metric, _meta(described), part)


def _examine_truth(findings, where, content, kind, metric, meta, part) -> None:
    categories = {category['id'] for category in content.get('categories') or ()}
    people = content.get('annotations') or []
    if not people:
        what = 'without annotations nothing can be evaluated but with format_only=True'
        return findings.add(ERROR, where, what)
    if not categories:
        what = "categories is missing: [{'id': 1, 'name': 'person'}]"
        return findings.add(ERROR, where, what)
    if not len(meta['sigmas']):
        what = f'metainfo of the dataset has no sigmas, for the OKS of {kind.__name__}'
        return findings.add(ERROR, where, what)
    images = {image['id']: image for image in content['images']}
    people = [person for person in people if person['image_id'] in images]
    fields = dict(keypoints=None if metric.get('gt_converter') else len(meta['sigmas']))
    if issubclass(kind, CocoWholeBodyMetric):
        fields = dict(WHOLE_BODY, keypoints=17)
        if 1 not in categories:
            what = 'categories has no id 1, which is given to every pose'
            findings.add(ERROR, where, what)
    area = 'area' if metric.get('use_area', True) else 'bbox'
    crowd = metric.get('iou_type') == 'keypoints_crowd'
    known = [person for person in people if person['category_id'] in categories]
    counted = [p for p in known if _is_counted(p, fields, crowd)]
    ids = {person['id'] for person in counted}
    if not counted:
        what = 'nobody has a labelled keypoint, iscrowd=0 and a category of categories'
        findings.add(ERROR, where, f'{what}: AP would be -1')
    wanted = categories, fields, area, crowd
    faults = (_truth_faults(p, *wanted, p['id'] in ids) for p in people)
    findings.group(where, people, faults)
    if crowd:
        what = 'images have no crowdIndex'
        lacking = ([(ERROR, what)] * ('crowdIndex' not in i) for i in images.values())
        findings.group(where, list(images.values()), lacking)
    in_image = Counter(person['image_id'] for person in counted)
    what = f'images have over {BEST} persons: the best {BEST} poses are evaluated'
    crowded = ([(WARNING, what)] * (in_image[i] > BEST) for i in images)
    findings.group(where, list(images.values()), crowded)
    if part is None:
        return
    faults = (_tested_faults(person, part, len(counted)) for person in counted)
    findings.group(where, counted, faults)


def _is_counted(person: dict, fields: dict, crowd: bool) -> bool:
    """Whether a pose must be found for an annotation."""
    if crowd:
        return bool(person.get('num_keypoints')) and not person.get('iscrowd')
    return not person.get('iscrowd') and any(is_labelled(person, f) for f in fields)


def _truth_faults(
    person: dict, categories: set, fields: dict, area: str, crowd: bool, counted: bool
) -> Iterator[Fault]:
    if person['category_id'] not in categories:
        yield ERROR, 'annotations are not evaluated: categories lacks their category_id'
        return
    for field, num in fields.items():
        size = np.shape(person.get(field))
        if field not in person:
            yield ERROR, f'annotations have no {field}'
        elif is_labelled(person, field) and size != (3 * num if num else size[0],):
            yield ERROR, f'annotations do not have {num} {field}, as metainfo has'
    if 'bbox' not in person:
        yield ERROR, 'annotations have no bbox'
    if crowd and type(person.get('num_keypoints')) is not int:
        yield ERROR, 'annotations have no num_keypoints'
    if not str(person['id']).isdigit():
        yield ERROR, 'annotations have an id that is no whole number from 0 on'
    if area == 'area' and area not in person:
        yield ERROR, 'annotations have no area'
        return
    if not counted:
        return
    size = person.get(area)
    if area == 'bbox':
        size = float(np.prod(np.ravel(size or 0)[2:]))
    if not isinstance(size, (int, float)):
        yield ERROR, f'persons have no {area} that is a number (or use_area=False)'
    elif not size > 0:
        yield ERROR, f'persons have {area} of 0 or less: they are never found'


def _tested_faults(person: dict, data: Data, total: int) -> Iterator[Fault]:
    """What keeps a counted person from being found by a perfect model."""
    if data.ids is None:
        if person['category_id'] != 1:
            yield ERROR, 'persons are not of category 1, as the boxes of bbox_file are'
    elif person['id'] not in data.ids:
        yield ERROR, 'persons are evaluated but left out by the dataset: AP is too low'
    elif person['id'] in data.twice and len(data.twice) > total / 100:
        yield ERROR, 'persons are labelled twice and evaluated: AP is too low'


def examine_numbers(findings: Findings, cfg: Config) -> None:
    """Compare the keypoints of the model with those of its datasets' metainfo.

    Where keypoints are converted the numbers may differ and nothing is compared.
    """
    model = cfg.get('model') or {}
    head, key = model.get('head') or {}, 'model.head'
    while 'head' in head:  # MIPNetHead
        head, key = head['head'], f'{key}.head'
    name = 'num_joints' if 'num_joints' in head else 'out_channels'
    given = head.get(name)
    if type(given) is not int:
        return
    if 'combined' in str(head.get('decoder') or {}):  # UDP's, with two offsets
        given //= 3
    chosen = (model.get('test_cfg') or {}).get('output_keypoint_indices')
    for loader in ('train', 'val', 'test'):
        dataset = (cfg.get(f'{loader}_dataloader') or {}).get('dataset')
        about = str([dataset, cfg.get(f'{loader}_evaluator')])
        if not dataset or any(converter in about for converter in CONVERTERS):
            continue
        meta = _meta(dataset)
        num = len(chosen) if chosen and loader != 'train' else given
        if meta and meta['num_keypoints'] != num:
            what = f'{num} keypoints, metainfo of {loader}_dataloader.dataset has '
            findings.add(ERROR, f'{key}.{name}', what + str(meta['num_keypoints']))


def _meta(dataset: dict) -> Optional[dict]:
    """Metainfo of a dataset's config."""
    dataset = dataset_with_metainfo(dataset)
    if is_wrapper(dataset):
        return parse_pose_metainfo(dataset['metainfo'])
    left_out = ('bbox_file', 'test_mode')  # test mode tells every metric of the file
    rest = {name: value for name, value in dataset.items() if name not in left_out}
    return build(rest, lazy_init=True).metainfo
