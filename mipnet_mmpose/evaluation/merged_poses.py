import logging
import warnings
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Optional

import numpy as np
from mmengine.logging import print_log
from mmpose.evaluation.functional import transform_pred
from mmpose.evaluation.metrics import CocoMetric

from .ground_truth import check_ground_truth
from .merge_poses import MERGE_DEFAULTS, merge_poses, merge_sigmas

MERGED = ('keypoints', 'keypoint_scores', 'bbox_scores', 'lambdas', 'areas', 'presence')
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

    @property
    def dataset_meta(self) -> Optional[dict]:
        """dict: of the dataset; where it is set the annotations are looked at."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        CocoMetric.dataset_meta.fset(self, dataset_meta)
        if self.coco is not None and self.max_people and not self.format_only:
            check_ground_truth(self.coco, self.use_area)

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
            areas = pred.get('areas')  # of the box
            if areas is None:
                areas = np.ptp(pred['keypoints'][..., :2], axis=1).prod(axis=1)
            pred['areas'] = np.broadcast_to(areas, num)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Evaluate the people of all images, and each λ alone with ``per_lambda``.

        Args:
            results (list): (prediction, ground truth) of each box.

        Returns:
            dict: metric names and values.
        """
        # padding of several processes repeats boxes
        boxes = {(pred['img_id'], pred['id']): (pred, gt) for pred, gt in results}
        images = defaultdict(list)
        for key in sorted(boxes):
            images[key[0]] += _one_by_one(boxes[key][0])
        truths = [(NOBODY, gt) for _, gt in boxes.values()] or [(NOBODY, {})]
        people, scores = self._people(images.values())
        self._warn(people, scores)
        metrics = super().compute_metrics(truths + people)
        self.gt_converter = None  # the annotations are converted now
        lambdas = sorted({value for pred, _ in results for value in pred['lambdas']})
        if not self.per_lambda or self.format_only or len(lambdas) == 1:
            return metrics
        prefix, self.outfile_prefix = self.outfile_prefix, None
        for value in lambdas:
            print_log(f'Evaluating lambda = {value:g} alone...', 'current')
            people, _ = self._people(
                [pose for pose in poses if pose['lambdas'][0] == value]
                for poses in images.values()
            )
            for key, found in super().compute_metrics(truths + people).items():
                metrics[f'lambda{value:g}/{key}'] = found
        self.outfile_prefix = prefix
        return metrics

    def _people(self, images: Iterable[list[dict]]) -> tuple[list, np.ndarray]:
        """A result as of the stock metric for each person; the scores of all poses."""
        people: list = []
        all_scores = [np.zeros(0)]
        sigmas = merge_sigmas(self.dataset_meta)
        for poses in filter(None, images):
            rows = {
                key: np.concatenate([pose[key] for pose in poses])
                for key in MERGED
                if key in poses[0]
            }
            with warnings.catch_warnings():
                warnings.simplefilter('ignore')  # _warn counts those of all images
                kept, scores = merge_poses(**rows, sigmas=sigmas, **self.settings)
            all_scores.append(scores)
            for i in kept:
                scored = dict(id=len(people), bbox_scores=scores[i : i + 1])
                gt = dict(img_id=poses[i]['img_id'], raw_ann_info=[])
                people.append((dict(poses[i], **scored), gt))
        return people, np.concatenate(all_scores)

    def _warn(self, people: list, scores: np.ndarray) -> None:
        """Say once how many poses do not count, and why."""
        lost = np.isnan(scores).sum()
        if lost:
            text = f'{lost} of {len(scores)} poses are not finite and are left out'
            print_log(text, 'current', logging.WARNING)
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


def _one_by_one(pred: dict) -> list[dict]:
    """The poses of a box as a prediction each."""
    return [
        {
            key: value[i : i + 1] if key in (*MERGED, 'bbox') else value
            for key, value in pred.items()
        }
        for i in range(len(pred['lambdas']))
    ]
