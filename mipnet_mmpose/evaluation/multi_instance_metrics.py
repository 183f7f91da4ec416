"""MMPose's metrics of COCO's kind, for N poses per box."""

import logging
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import Any, Optional

import numpy as np
from mmengine.logging import print_log
from mmpose.evaluation.functional import transform_pred
from mmpose.evaluation.metrics import (
    CocoMetric,
    CocoWholeBodyMetric,
    PoseTrack18Metric,
)
from mmpose.registry import METRICS

from .merge_poses import MERGE_DEFAULTS, merge_poses, merge_sigmas

MERGED = ('keypoints', 'keypoint_scores', 'bbox_scores', 'lambdas', 'areas', 'presence')
OF_POSES = (*MERGED, 'bbox', 'category_id')  # fields with a row for each pose
NOBODY = dict(img_id=None, keypoints=())


class MergedPoses:
    """Makes a metric for N poses per box out of a stock one of COCO's kind.

    :func:`merge_poses` makes people of the poses of all boxes of an image, with the
    ``score_mode``, ``keypoint_score_thr``, ``nms_mode`` and ``nms_thr`` of the metric.
    The stock class evaluates the people as it does those of any model: keys, result
    files and ground truth are its own. With N = 1 so is every value.

    Args:
        *args, **kwargs: As for the stock metric.
        score_decay (float): Factor of the score of λ ≥ 1. Defaults to 0.5. A model with
            ``presence`` has its scores multiplied by that instead.
        presence_thr (float): Least ``presence`` of a pose. Defaults to that of
            :data:`MERGE_DEFAULTS`.
        per_lambda (bool): Also evaluate the poses of each of several λ alone, with
            keys such as ``coco/lambda0/AP``. Defaults to True.

    Raises:
        ValueError: where two annotations have the same id.
    """

    max_people: Optional[int] = 20  # of an image, whom COCO's evaluation looks at

    def __init__(
        self,
        *args,
        score_decay: float = MERGE_DEFAULTS['score_decay'],
        presence_thr: float = MERGE_DEFAULTS['presence_thr'],
        per_lambda: bool = True,
        **kwargs,
    ):
        super().__init__(*args, **kwargs)
        self.score_decay = score_decay
        self.presence_thr = presence_thr
        self.per_lambda = per_lambda
        # what is left to the stock class: to score, drop or convert nothing
        self.settings = {name: getattr(self, name) for name in MERGE_DEFAULTS}
        self.score_mode, self.nms_mode = 'bbox', 'none'
        self.converter, self.pred_converter = self.pred_converter, None

    @CocoMetric.dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        """Take it as the stock metric does, and look at the annotations."""
        CocoMetric.dataset_meta.fset(self, dataset_meta)
        if self.coco is not None and self.max_people and not self.format_only:
            _check_ground_truth(self.coco, self.use_area)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Store the poses of a batch as the stock metric does, with λ and presence."""
        start = len(self.results)
        super().process(data_batch, data_samples)
        for (pred, _), sample in zip(self.results[start:], data_samples):
            if self.converter is not None:
                num, mapping = (self.converter[k] for k in ('num_keypoints', 'mapping'))
                transform_pred(pred, num, mapping)
            poses, num = sample['pred_instances'], len(pred['keypoints'])
            pred['lambdas'] = poses.get('lambdas', np.zeros(num, np.float32))
            if 'presence' in poses:
                pred['presence'] = poses['presence']
            for key in ('areas', 'category_id'):  # of the box
                pred[key] = np.broadcast_to(pred[key], num)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Evaluate the people of all images, and each λ alone with ``per_lambda``."""
        # padding of several processes repeats boxes
        boxes = {(pred['img_id'], pred['id']): (pred, gt) for pred, gt in results}
        results = [boxes[key] for key in sorted(boxes)]
        truths = [(NOBODY, gt) for _, gt in results]
        people = self._people([pred for pred, _ in results])
        counts = Counter(person['img_id'] for person, _ in people)
        limit = self.max_people or len(people)
        beyond = [num - limit for num in counts.values() if num > limit]
        if beyond:
            text = (
                f'{len(beyond)} of {len(counts)} images have more than {limit} people. '
                f"COCO's evaluation looks at the best by score: {sum(beyond)} poses do "
                'not count'
            )
            print_log(text, 'current', logging.WARNING)
        metrics = super().compute_metrics(truths + people)
        self.gt_converter = None  # the annotations are converted now
        lambdas = sorted({value for pred, _ in results for value in pred['lambdas']})
        if not self.per_lambda or self.format_only or len(lambdas) == 1:
            return metrics
        prefix, self.outfile_prefix = self.outfile_prefix, None
        for value in lambdas:
            print_log(f'Evaluating lambda = {value:g} alone...', 'current')
            alone = [_choose(pred, pred['lambdas'] == value) for pred, _ in results]
            found = super().compute_metrics(truths + self._people(alone))
            metrics.update((f'lambda{value:g}/{key}', found[key]) for key in found)
        self.outfile_prefix = prefix
        return metrics

    def _people(self, preds: list[dict]) -> list[tuple[dict, dict]]:
        """A result as of the stock metric for each person of all images."""
        people: list = []
        sigmas = merge_sigmas(self.dataset_meta)
        for _, group in groupby(preds, key=lambda pred: pred['img_id']):
            boxes = list(group)
            poses = dict(boxes[0])
            for key in set(OF_POSES) & set(poses):
                poses[key] = np.concatenate([box[key] for box in boxes])
            rows = {key: poses[key] for key in MERGED if key in poses}
            kept, scores = merge_poses(**rows, sigmas=sigmas, **self.settings)
            poses['bbox_scores'] = scores
            for i in kept:
                person = _choose(poses, [i])
                person.update(id=len(people), category_id=poses['category_id'][i])
                people.append((person, dict(img_id=poses['img_id'], raw_ann_info=[])))
        return people


def _choose(pred: dict, rows: Any) -> dict:
    """A prediction with some of its poses."""
    return {k: v[rows] if k in OF_POSES else v for k, v in pred.items()}


def _check_ground_truth(coco: Any, use_area: bool) -> None:
    """Look for annotations with which COCO's evaluation gives a wrong AP."""
    anns, file = coco.dataset.get('annotations', []), coco.anno_file[0]
    for ann in anns:
        if coco.anns[ann['id']] is not ann:  # one is evaluated twice, the other never
            raise ValueError(
                f'{file}: {len(anns) - len(coco.anns)} of {len(anns)} annotations have '
                f'the id of another one, such as {ann["id"]}: give each its own'
            )
    people = [a for a in anns if any(v > 0 for v in a.get('keypoints', [])[2::3])]
    if use_area:
        flat = [ann for ann in people if not ann.get('area', 1) > 0]
    else:
        flat = [ann for ann in people if not ann['bbox'][2] * ann['bbox'][3] > 0]
    unknown = [ann for ann in anns if ann['category_id'] not in coco.cats]
    for found, what in (
        (unknown, 'have a category_id that categories lacks: they are not evaluated'),
        (flat, f'have {"an area" if use_area else "a box"} of 0: they are never found'),
    ):
        if found:
            what += f', such as id {found[0]["id"]}'
            what = f'{file}: {len(found)} of {len(anns)} annotations {what}'
            print_log(what, 'current', logging.WARNING)


@METRICS.register_module()
class MultiInstanceCocoMetric(MergedPoses, CocoMetric):
    """``CocoMetric`` for N poses per box.

    The stock metric would drop those that share a box. Here all of them compete, as in
    the authors' code. Arguments are those of ``CocoMetric`` and :class:`MergedPoses`.

    Example::

        val_evaluator = dict(
            type='MultiInstanceCocoMetric', ann_file='val.json', per_lambda=True
        )
    """


@METRICS.register_module()
class MultiInstanceCocoWholeBodyMetric(MergedPoses, CocoWholeBodyMetric):
    """``CocoWholeBodyMetric`` for N poses per box, see ``MultiInstanceCocoMetric``."""


@METRICS.register_module()
class MultiInstancePoseTrack18Metric(MergedPoses, PoseTrack18Metric):
    """``PoseTrack18Metric`` for N poses per box, see ``MultiInstanceCocoMetric``.

    Raises:
        ImportError: where ``poseval``, which the stock metric evaluates with, is
            not installed.
    """

    max_people = None  # poseval looks at all
