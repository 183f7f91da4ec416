"""Whether COCO's evaluation of a config can be right, for ``mipnet check_data``."""

from collections import Counter
from os.path import samefile
from typing import Any

import numpy as np
from mmpose.evaluation.metrics import PoseTrack18Metric

from ..evaluation.merge_poses import coco_metrics
from .data_checks import ERROR, WARNING, Data, Findings, is_labelled, read_annotations

BEST = 20  # poses of an image that COCO's evaluation looks at


def examine_evaluator(
    findings: Findings, key: str, evaluator: Any, data: list[Data]
) -> None:
    """Examine the ground truth of metrics of COCO's kind; all ``data`` are readable."""
    for name, metric, kind in coco_metrics(evaluator, key):
        path = metric.get('ann_file') or data[0].dataset.ann_file
        with findings.catching(f'{name}.ann_file: {path}'):
            same = [one for one in data if samefile(path, one.dataset.ann_file)]
            content = same and same[0].content or read_annotations(findings, path)
            if metric.get('format_only') or issubclass(kind, PoseTrack18Metric):
                continue
            if not len((same or data)[0].dataset.metainfo['sigmas']):
                findings.add(ERROR, 'metainfo of the dataset has no sigmas, for OKS')
            alone = same[0] if same else data[0] if len(data) == 1 else None
            _examine_truth(findings, content, metric, alone)


def _examine_truth(findings, content, metric, data) -> None:
    def flag(is_bad, what):
        findings.flag(ERROR, people, map(is_bad, people), what)

    categories = {category['id'] for category in content.get('categories') or ()}
    images = {image['id']: image for image in content['images']}
    people = [p for p in content.get('annotations') or () if p['image_id'] in images]
    what = 'annotations are not evaluated: categories lacks their category_id'
    flag(lambda p: p['category_id'] not in categories, what)
    people = [p for p in people if p['category_id'] in categories]
    for key in ('bbox', 'keypoints'):
        flag(lambda p, key=key: key not in p, f'annotations have no {key}')
    crowd, images = metric.get('iou_type') == 'keypoints_crowd', list(images.values())
    bad = (crowd and 'crowdIndex' not in image for image in images)
    findings.flag(ERROR, images, bad, 'images have no crowdIndex')
    has = (lambda p: p.get('num_keypoints')) if crowd else is_labelled
    people = [p for p in people if has(p) and not p.get('iscrowd')]
    if not people:
        what = 'nobody has a labelled keypoint, iscrowd=0 and a category of categories'
        findings.add(ERROR, f'{what}: AP would be -1')
    count = Counter(p['image_id'] for p in people)
    what = f'images have over {BEST} persons: the best {BEST} poses are evaluated'
    findings.flag(WARNING, images, (count[i['id']] > BEST for i in images), what)
    if metric.get('use_area', True):
        what = 'persons have no area that is a number above 0: they are never found'
        flag(lambda p: not (p.get('area') or 0) > 0, what)
    else:
        what = 'persons have a bbox without an area: they are never found'
        flag(lambda p: not np.prod(p['bbox'][2:]) > 0, what)
    if data and data.ids is None:
        what = 'persons are not of category 1, as the boxes of bbox_file'
        flag(lambda p: p['category_id'] != 1, what)
    elif data:
        what = 'persons are evaluated but left out by the dataset: AP is too low'
        flag(lambda p: p['id'] not in data.ids, what)
        what = 'persons are labelled twice and evaluated: AP is low'
        if sum(p['id'] in data.twice for p in people) > len(people) / 100:
            flag(lambda p: p['id'] in data.twice, what)


def examine_numbers(
    findings: Findings, model: dict, loader: str, cfg: dict, data: list[Data]
) -> None:
    """Compare the model's number of keypoints with that of a loader's datasets.

    Where keypoints are converted the numbers may differ and nothing is compared.
    """
    head, where = model.get('head') or {}, 'model.head'
    while 'head' in head:  # MIPNetHead
        head, where = head['head'], f'{where}.head'
    name = 'num_joints' if 'num_joints' in head else 'out_channels'
    num = head.get(name)
    if type(num) is not int or 'KeypointConverter' in str(cfg):
        return
    if 'combined' in str(head.get('decoder')):  # UDP's, with two offsets
        num //= 3
    chosen = (model.get('test_cfg') or {}).get('output_keypoint_indices')
    num = len(chosen) if chosen and loader != 'train' else num
    findings.where = f'{where}.{name}'
    for one in data:
        described = one.dataset.metainfo['num_keypoints']
        if described != num:
            what = f'{num} keypoints, metainfo of {one.key} has {described}'
            findings.add(ERROR, what)
