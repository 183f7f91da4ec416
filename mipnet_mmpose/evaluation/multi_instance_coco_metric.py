import functools
import os.path as osp
import tempfile
from collections import OrderedDict, defaultdict
from typing import Dict, List, Sequence

import numpy as np
from mmengine.logging import MMLogger
from mmpose.evaluation.functional import transform_ann, transform_pred
from mmpose.evaluation.metrics import CocoMetric
from mmpose.registry import METRICS
from xtcocotools.coco import COCO

from .oks_nms import oks_nms, soft_oks_nms


@METRICS.register_module()
class MultiInstanceCocoMetric(CocoMetric):
    """``CocoMetric`` for N poses per box.

    All N poses of a box compete (the stock metric would drop those that share
    a box id): the score of a pose of λ ≥ 1 is multiplied by ``score_decay``,
    then OKS-NMS merges the poses of an image, as the authors do. Each λ is
    also evaluated alone.

    With N = 1 it returns what ``CocoMetric`` returns. With more the keys are
    ``coco/AP`` … for the merged result and ``coco/lambda0/AP`` … for each λ.

    Args:
        *args, **kwargs: As for ``CocoMetric``.
        num_instances (int): Poses N per box that the model gives. Defaults to 2.
        score_decay (float): Defaults to 0.5, as in the authors' code.

    Raises:
        ValueError: where the model gives another number of poses per box.
    """

    def __init__(
        self, *args, num_instances: int = 2, score_decay: float = 0.5, **kwargs
    ):
        super().__init__(*args, **kwargs)
        if num_instances < 1:
            raise ValueError(
                f'val_evaluator.num_instances must be at least 1, got {num_instances}'
            )
        if not 0 <= score_decay <= 1:
            raise ValueError(
                f'val_evaluator.score_decay must be in 0 ... 1, got {score_decay}'
            )
        self.num_instances = num_instances
        self.score_decay = score_decay

    def process(self, data_batch: Sequence[dict], data_samples: Sequence[dict]) -> None:
        """Store the poses of a batch, see ``CocoMetric.process``."""
        for sample in data_samples:
            poses = sample.get('pred_instances', {})
            num = len(poses.get('keypoints', ()))
            if poses and num != self.num_instances:
                raise ValueError(
                    f'val_evaluator / test_evaluator has num_instances='
                    f'{self.num_instances}, but the model gives {num} poses per box'
                )
        start = len(self.results)
        super().process(data_batch, data_samples)
        for (pred, _), sample in zip(self.results[start:], data_samples):
            pred['lambdas'] = np.asarray(
                sample['pred_instances'].get('lambdas', np.arange(self.num_instances))
            )
            if 'areas' in pred:
                pred['areas'] = np.repeat(pred['areas'], self.num_instances, axis=0)

    def compute_metrics(self, results: list) -> Dict[str, float]:
        """Evaluate the merged poses, then each λ alone.

        Args:
            results (list): (prediction, ground truth) of each box.

        Returns:
            dict: metric names and values.
        """
        logger = MMLogger.get_current_instance()
        preds, gts = zip(*results)
        with tempfile.TemporaryDirectory() as tmp_dir:
            prefix = self.outfile_prefix or osp.join(tmp_dir, 'results')
            self._load_ground_truth(gts, prefix)
            images = self._score(preds)
            merged = self._suppress(images)
            self.results2json(merged, outfile_prefix=prefix)
            if self.format_only:
                logger.info(f'results are saved in {osp.dirname(prefix)}')
                return {}
            logger.info(f'Evaluating {type(self).__name__}...')
            metrics = OrderedDict(self._do_python_keypoint_eval(prefix))
            if self.num_instances == 1:
                return metrics
            for i, value in enumerate(preds[0]['lambdas']):
                alone = {
                    img_id: [p for p in persons if p['instance'] == i]
                    for img_id, persons in images.items()
                }
                logger.info(f'Evaluating lambda = {value:g} alone...')
                prefix = osp.join(tmp_dir, f'instance{i}')
                self.results2json(self._suppress(alone), outfile_prefix=prefix)
                for name, result in self._do_python_keypoint_eval(prefix):
                    metrics[f'lambda{value:g}/{name}'] = result
        return metrics

    def _load_ground_truth(self, gts: Sequence[dict], prefix: str) -> None:
        if self.coco is None:
            self.coco = COCO(self.gt_to_coco_json(gt_dicts=gts, outfile_prefix=prefix))
        if self.gt_converter is not None:
            for id_, ann in self.coco.anns.items():
                self.coco.anns[id_] = transform_ann(
                    ann,
                    self.gt_converter['num_keypoints'],
                    self.gt_converter['mapping'],
                )

    def _score(self, preds: Sequence[dict]) -> Dict[int, List[dict]]:
        """One scored person per pose, by image, the boxes in the order of their ids."""
        boxes = {}
        for pred in preds:  # padding for several processes repeats boxes
            boxes.setdefault((pred['img_id'], pred['id']), pred)
        images = defaultdict(list)
        for img_id, box_id in sorted(boxes, key=lambda key: key[1]):
            images[img_id].extend(self._persons(boxes[img_id, box_id]))
        return images

    def _persons(self, pred: dict) -> List[dict]:
        lambdas = pred['lambdas']
        if self.pred_converter is not None:
            pred = transform_pred(
                pred,
                self.pred_converter['num_keypoints'],
                self.pred_converter['mapping'],
            )
        scores = pred['keypoint_scores']
        if self.score_mode == 'bbox':
            score = pred['bbox_scores']
        elif self.score_mode == 'keypoint':
            score = scores.mean(axis=1)
        elif self.score_mode == 'bbox_rle':
            score = pred['bbox_scores'] + scores.mean(axis=1) + scores.max(axis=1)
        else:
            confident = scores > self.keypoint_score_thr
            total = np.where(confident, scores, 0).sum(axis=1, dtype=np.float64)
            score = pred['bbox_scores'] * total / np.maximum(confident.sum(axis=1), 1)
        score = np.where(lambdas >= 1, self.score_decay, 1.0) * score

        keypoints = pred['keypoints']
        if 'areas' in pred:
            areas = pred['areas']
        else:
            areas = np.ptp(keypoints[..., :2], axis=1).prod(axis=1)
        persons = []
        for i in range(self.num_instances):
            person = dict(
                img_id=pred['img_id'],
                category_id=pred['category_id'],
                keypoints=np.concatenate([keypoints[i], scores[i, :, None]], axis=1),
                area=areas[i],
                score=score[i],
                instance=i,
            )
            if 'bbox' in pred:
                person['bbox'] = pred['bbox'][i]
            persons.append(person)
        return persons

    def _suppress(self, images: Dict[int, List[dict]]) -> Dict[int, List[dict]]:
        if self.nms_mode == 'none':
            return images
        suppress = oks_nms if self.nms_mode == 'oks_nms' else soft_oks_nms
        kept = {}
        for img_id, persons in images.items():
            if persons:
                indices = suppress(
                    np.array([p['keypoints'][:, :2] for p in persons]),
                    np.array([p['score'] for p in persons]),
                    np.array([p['area'] for p in persons]),
                    self.nms_thr,
                    self.dataset_meta['sigmas'],
                )
                kept[img_id] = [persons[i] for i in indices]
        return kept


def _refuse_several_poses(process):
    """Stock metrics take one pose per box; say so instead of dropping poses."""

    @functools.wraps(process)
    def checked(self, data_batch, data_samples):
        if not isinstance(self, MultiInstanceCocoMetric) and any(
            len(sample.get('pred_instances', {}).get('lambdas', ())) > 1
            for sample in data_samples
        ):
            raise ValueError(
                f'val_evaluator / test_evaluator is {type(self).__name__}, which takes '
                'one pose per box, but the model gives several: use '
                "dict(type='MultiInstanceCocoMetric', num_instances=N, ...)"
            )
        return process(self, data_batch, data_samples)

    return checked


CocoMetric.process = _refuse_several_poses(CocoMetric.process)
