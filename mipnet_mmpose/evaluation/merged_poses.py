import logging
import tempfile
import warnings
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any, Optional

import numpy as np
from mmengine.logging import print_log
from mmpose.evaluation.functional import transform_pred

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
        self._gt_is_converted = False

    @property
    def dataset_meta(self) -> Optional[dict]:
        """dict: of the dataset; where it is set the annotations are looked at."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        super(MergedPoses, type(self)).dataset_meta.fset(self, dataset_meta)
        if self.coco is not None and self.max_people and not self.format_only:
            check_ground_truth(self.coco, self.use_area)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Store the poses of a batch as the stock metric does, with λ and presence."""
        start = len(self.results)
        super().process(data_batch, data_samples)
        for (pred, _), sample in zip(self.results[start:], data_samples):
            poses = sample['pred_instances']
            num = len(poses['keypoints'])
            pred['lambdas'] = poses.get('lambdas', np.zeros(num, np.float32))
            if 'presence' in poses:
                pred['presence'] = poses['presence']
            if 'areas' in pred:  # of the box
                pred['areas'] = np.broadcast_to(pred['areas'], num)

    def compute_metrics(self, results: list) -> dict[str, float]:
        """Evaluate the people of all images, and each λ alone with ``per_lambda``.

        Args:
            results (list): (prediction, ground truth) of each box.

        Returns:
            dict: metric names and values.
        """
        boxes: dict = defaultdict(dict)
        for pred, truth in results:  # padding of several processes repeats boxes
            boxes[pred['img_id']].setdefault(pred['id'], (pred, truth))
        images = [self._poses(image) for image in boxes.values()]
        truths = [(NOBODY, gt) for image in boxes.values() for _, gt in image.values()]
        people, scores = self._people(images)
        self._warn(people, scores)
        with tempfile.TemporaryDirectory() as folder:
            prefix = self.outfile_prefix or f'{folder}/results'
            metrics = self._evaluate(truths + people, prefix)
            lambdas = sorted({v for poses in images for v in poses['lambdas']})
            if not self.per_lambda or self.format_only or len(lambdas) == 1:
                return metrics
            for value in lambdas:
                print_log(f'Evaluating lambda = {value:g} alone...', 'current')
                people, _ = self._people(
                    {
                        key: rows[poses['lambdas'] == value]
                        for key, rows in poses.items()
                    }
                    for poses in images
                )
                prefix = f'{folder}/lambda{value:g}/results'
                for key, found in self._evaluate(truths + people, prefix).items():
                    metrics[f'lambda{value:g}/{key}'] = found
        return metrics

    def _poses(self, boxes: dict) -> dict[str, np.ndarray]:
        """The poses of an image, a row each, those of the box of lowest id first."""
        preds = [boxes[box_id][0] for box_id in sorted(boxes)]
        if self.pred_converter is not None:
            num, mapping = (
                self.pred_converter[k] for k in ('num_keypoints', 'mapping')
            )
            preds = [transform_pred(dict(pred), num, mapping) for pred in preds]
        poses = {
            key: np.concatenate([pred[key] for pred in preds])
            for key in (*MERGED, 'bbox')
            if key in preds[0]
        }
        if 'areas' not in poses:
            poses['areas'] = np.ptp(poses['keypoints'][..., :2], axis=1).prod(axis=1)
        for key in ('img_id', 'category_id'):
            rows = [np.repeat(pred[key], len(pred['lambdas'])) for pred in preds]
            poses[key] = np.concatenate(rows)
        return poses

    def _people(self, images: Sequence[dict]) -> tuple[list, np.ndarray]:
        """A result as of the stock metric for each person; the scores of all poses."""
        settings = {name: getattr(self, name) for name in MERGE_DEFAULTS}
        settings['sigmas'] = merge_sigmas(self.dataset_meta)
        people: list = []
        all_scores = [np.zeros(0)]
        for poses in images:
            given = {key: poses[key] for key in MERGED if key in poses}
            with warnings.catch_warnings():
                warnings.simplefilter('ignore')  # _warn counts those of all images
                kept, scores = merge_poses(**given, **settings)
            all_scores.append(scores)
            for i in kept:
                person = {key: rows[i : i + 1] for key, rows in poses.items()}
                ids = dict(
                    img_id=poses['img_id'][i], category_id=poses['category_id'][i]
                )
                person.update(ids, id=len(people), bbox_scores=scores[i : i + 1])
                people.append((person, dict(ids, raw_ann_info=[])))
        return people, np.concatenate(all_scores)

    def _warn(self, people: list, scores: np.ndarray) -> None:
        """Say once how many poses do not count, and why."""
        lost = np.isnan(scores).sum()
        counts = Counter(person['img_id'] for person, _ in people)
        limit = self.max_people or len(people)
        beyond = [num - limit for num in counts.values() if num > limit]
        for found, text in (
            (lost, f'{lost} of {len(scores)} poses are not finite and are left out'),
            (
                beyond,
                f'{len(beyond)} of {len(counts)} images have more than {limit} people. '
                f"COCO's evaluation looks at the best by score: {sum(beyond)} poses do "
                'not count',
            ),
        ):
            if found:
                print_log(text, 'current', logging.WARNING)

    def _evaluate(self, results: list, prefix: str) -> dict[str, float]:
        """By the stock class, for which nothing is left to score, drop or convert."""
        changes = dict(
            score_mode='bbox',
            nms_mode='none',
            pred_converter=None,
            gt_converter=None if self._gt_is_converted else self.gt_converter,
            outfile_prefix=prefix,
        )
        given = {name: getattr(self, name) for name in changes}
        vars(self).update(changes)
        try:
            metrics = super().compute_metrics(results or [(NOBODY, {})])
        finally:
            vars(self).update(given)
        self._gt_is_converted = True
        return metrics
