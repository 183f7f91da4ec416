"""Check what a metric of COCO's kind evaluates with, before there is a pose."""

import copy
from typing import Dict, Optional

import numpy as np
from mmengine.evaluator import BaseMetric
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.evaluation.metrics import (
    CocoMetric,
    CocoWholeBodyMetric,
    PoseTrack18Metric,
)
from mmpose.registry import DATASETS, METRICS

from ..datasets.annotation_file import check_annotations, check_ground_truth
from ..datasets.json_file import load_json
from ..datasets.unwrap import dataset_with_metainfo, is_wrapper


def check_metric(metric: BaseMetric) -> None:
    """Check the annotations of a metric; of one that is no ``CocoMetric`` nothing.

    Args:
        metric (BaseMetric): With its ``dataset_meta``.

    Raises:
        ValueError: naming file, id and key, where its result could not be right.
    """
    if not isinstance(metric, CocoMetric) or metric.coco is None:
        return
    content, path = metric.coco.dataset, str(metric.coco.anno_file[0])
    check_annotations(content, path)
    if metric.format_only or isinstance(metric, PoseTrack18Metric):
        return  # PoseTrack's is evaluated by poseval, which reads other files
    if isinstance(metric, CocoWholeBodyMetric) and 1 not in metric.coco.cats:
        raise ValueError(
            f'{path}: categories has no id 1, which {type(metric).__name__} gives to '
            'every pose'
        )
    check_ground_truth(
        content,
        path,
        _fields(metric),
        use_area=metric.use_area,
        crowd=metric.iou_type == 'keypoints_crowd',
    )


def check_metric_config(metric: dict, dataset: dict) -> None:
    """:func:`check_metric` of a metric that is not built yet.

    Args:
        metric (dict): Config of any metric.
        dataset (dict): Config of the dataset that it is for.
    """
    dataset = dataset_with_metainfo(dataset)
    if is_wrapper(dataset):
        metainfo = parse_pose_metainfo(dataset['metainfo'])
    else:
        metainfo = DATASETS.build(dict(dataset, pipeline=[], lazy_init=True)).metainfo
    if metric.get('ann_file'):  # a stock metric would stop with a bare KeyError
        check_annotations(load_json(metric['ann_file']), metric['ann_file'])
    built = METRICS.build(metric)
    built.dataset_meta = copy.deepcopy(metainfo)  # a gt_converter changes it
    check_metric(built)


def check_pose(metric: CocoMetric, sample: dict) -> None:
    """Check that a predicted sample can be compared with the annotations at all.

    Raises:
        ValueError: where its number of keypoints or its category is another one.
    """
    found = sample['pred_instances']['keypoints'].shape[1]
    num = len(metric.dataset_meta['sigmas'])
    if found != num and metric.pred_converter is None:
        annotated = ''
        if metric.coco is not None and metric.coco.anns:
            first = next(iter(metric.coco.anns.values()))
            annotated = f', the annotations {len(first.get("keypoints", ())) // 3}'
        raise ValueError(
            f'the model gives {found} keypoints (model.head.out_channels), the '
            f'metainfo of the dataset (test_dataloader.dataset.metainfo) has {num}'
            f'{annotated}: they must be the same'
        )
    category = sample.get('category_id', 1)  # stock: a bbox_file's are 1
    if metric.coco is None or metric.format_only or np.size(category) != 1:
        return
    if int(np.ravel(category)[0]) not in metric.coco.cats:
        raise ValueError(
            f'{metric.coco.anno_file[0]}: a pose of image_id {sample["img_id"]} is of '
            f'category {category}, categories has id {sorted(metric.coco.cats)}: it '
            'would not be evaluated. The boxes of a bbox_file are of category 1'
        )


def _fields(metric: CocoMetric) -> Dict[str, Optional[int]]:
    """How many keypoints the annotations must have, by key."""
    num = len(metric.dataset_meta['sigmas'])
    if num == 0:
        raise ValueError(
            'the metainfo of the dataset has no sigmas, which '
            f'{type(metric).__name__} measures OKS with: give metainfo.sigmas, one '
            'number for each keypoint, or take a metric like PCKAccuracy or AUC'
        )
    if isinstance(metric, CocoWholeBodyMetric):
        return dict(
            keypoints=metric.body_num,
            foot_kpts=metric.foot_num,
            face_kpts=metric.face_num,
            lefthand_kpts=metric.left_hand_num,
            righthand_kpts=metric.right_hand_num,
        )
    converted = getattr(metric, 'gt_converter', None) is not None
    return dict(keypoints=None if converted else num)
