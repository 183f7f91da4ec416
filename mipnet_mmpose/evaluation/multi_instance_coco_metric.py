import os.path as osp
import tempfile
from collections import OrderedDict, defaultdict
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np
from mmengine.logging import MMLogger
from mmpose.evaluation import functional
from mmpose.evaluation.metrics import CocoMetric
from mmpose.registry import METRICS
from xtcocotools.coco import COCO

from ..datasets.annotation_file import check_annotations
from ..datasets.json_file import load_json
from .coco_keypoint_eval import CocoKeypointEval
from .ground_truth import check_metric, check_pose
from .merge_poses import score_poses, suppress_poses
from .pad_results import pad_results

STATS = ['AP', 'AP .5', 'AP .75', 'AP (M)', 'AP (L)']
STATS += ['AR', 'AR .5', 'AR .75', 'AR (M)', 'AR (L)']
CROWD_STATS = ['AP', 'AP .5', 'AP .75', 'AR', 'AR .5', 'AR .75']
CROWD_STATS += ['AP(E)', 'AP(M)', 'AP(H)']


@METRICS.register_module()
class MultiInstanceCocoMetric(CocoMetric):
    """``CocoMetric`` for N poses per box.

    All N poses of a box compete (the stock metric would drop those that share
    a box id): the score of a pose of λ ≥ 1 is multiplied by ``score_decay``,
    then OKS-NMS merges the poses of an image, as the authors do. Each λ is
    also evaluated alone.

    With N = 1 it returns what ``CocoMetric`` returns. With more the keys are
    ``coco/AP`` … for the merged result and ``coco/lambda0/AP`` … for each λ.
    A pose with a value that is not finite is left out, with one warning: the
    stock metric would match it with anybody.

    Args:
        *args, **kwargs: As for ``CocoMetric``.
        num_instances (int, optional): Poses N per box that the model must give.
            Defaults to as many as it gives.
        score_decay (float): Defaults to 0.5, as in the authors' code. A model with
            ``presence`` has its poses' scores multiplied by that instead.

    Raises:
        ValueError: where ``ann_file`` cannot give a right result, the model gives
            another number of poses per box, or images that ``ann_file`` does not
            have, or where there are neither predictions nor an ``ann_file``.
    """

    pred_converter = gt_converter = None  # MMPose 1.1 has no converters

    def __init__(
        self,
        *args,
        num_instances: Optional[int] = None,
        score_decay: float = 0.5,
        **kwargs,
    ):
        ann_file = kwargs.get('ann_file', args[0] if args else None)
        try:
            super().__init__(*args, **kwargs)
        except (AssertionError, AttributeError, KeyError, TypeError, ValueError):
            if ann_file is not None:  # xtcocotools says neither file nor key
                check_annotations(load_json(ann_file), ann_file)
            raise
        if num_instances is not None and num_instances < 1:
            raise ValueError(
                f'val_evaluator.num_instances must be at least 1, got {num_instances}'
            )
        if not 0 <= score_decay <= 1:
            raise ValueError(
                f'val_evaluator.score_decay must be in 0 ... 1, got {score_decay}'
            )
        self.num_instances = num_instances
        self.score_decay = score_decay
        self._gt_is_converted = False

    @property
    def dataset_meta(self) -> Optional[dict]:
        """dict: of the dataset; where it is set the ground truth is checked."""
        return self._dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        if not len(dataset_meta.get('sigmas', ())):
            raise ValueError(
                f'metainfo.sigmas of {dataset_meta.get("dataset_name")} is empty: AP '
                'by OKS needs one for each keypoint. Give them, or for val_evaluator / '
                'test_evaluator take a metric without OKS, such as PCKAccuracy'
            )
        CocoMetric.dataset_meta.fset(self, dataset_meta)
        check_metric(self)

    def process(self, data_batch: Sequence[dict], data_samples: Sequence[dict]) -> None:
        """Store the poses of a batch, see ``CocoMetric.process``."""
        # of all λ, see SeveralPoses
        data_samples = [
            dict(sample, pred_instances=dict(sample['pred_instances']))
            if 'pred_instances' in sample
            else sample
            for sample in data_samples
        ]
        for sample in data_samples:
            poses = sample.get('pred_instances', {})
            num = len(poses.get('keypoints', ()))
            if poses and num != (self.num_instances or num):
                raise ValueError(
                    f'val_evaluator / test_evaluator has num_instances='
                    f'{self.num_instances}, but the model gives {num} poses per box'
                )
            if poses:
                check_pose(self, sample)
        start = len(self.results)
        super().process(data_batch, data_samples)
        for (pred, _), sample in zip(self.results[start:], data_samples):
            poses = sample['pred_instances']
            num = len(poses['keypoints'])
            pred['lambdas'] = np.asarray(poses.get('lambdas', np.arange(num)))
            if 'presence' in poses:
                pred['presence'] = np.asarray(poses['presence'])
            if 'areas' in pred:
                pred['areas'] = np.repeat(pred['areas'], num, axis=0)

    def evaluate(self, size: int) -> Dict[str, float]:
        """Evaluate what all processes have stored, see ``CocoMetric.evaluate``."""
        pad_results(self.results, size)
        return super().evaluate(size)

    def compute_metrics(self, results: list) -> Dict[str, float]:
        """Evaluate the merged poses, then each λ alone.

        Args:
            results (list): (prediction, ground truth) of each box.

        Returns:
            dict: metric names and values.
        """
        logger = MMLogger.get_current_instance()
        if not results and self.coco is None:
            raise ValueError(
                'val_evaluator / test_evaluator got neither predictions nor ann_file'
            )
        preds, gts = zip(*results) if results else ((), ())
        with tempfile.TemporaryDirectory() as tmp_dir:
            prefix = self.outfile_prefix or osp.join(tmp_dir, 'results')
            self._load_ground_truth(gts, prefix)
            images = self._score(preds)
            merged = self._suppress(images)
            if self.outfile_prefix:
                self.results2json(merged, outfile_prefix=prefix)
            if self.format_only:
                logger.info(f'results are saved in {osp.dirname(prefix)}')
                return {}
            logger.info(f'Evaluating {type(self).__name__}...')
            metrics = OrderedDict(self._evaluate(merged))
            lambdas = self._lambdas(preds)
            if len(lambdas) == 1:
                return metrics
            for i, value in enumerate(lambdas):
                alone = {
                    img_id: [p for p in persons if p['instance'] == i]
                    for img_id, persons in images.items()
                }
                logger.info(f'Evaluating lambda = {value:g} alone...')
                for name, result in self._evaluate(self._suppress(alone)).items():
                    metrics[f'lambda{value:g}/{name}'] = result
        return metrics

    def _lambdas(self, preds: Sequence[dict]) -> Sequence[float]:
        """Those of the predictions, which must be the same for all boxes."""
        if not preds:
            return range(self.num_instances or 1)
        lambdas = preds[0]['lambdas']
        for pred in preds:
            if not np.array_equal(pred['lambdas'], lambdas):
                raise ValueError(
                    'val_evaluator / test_evaluator: the boxes have poses of different '
                    f'lambdas, {lambdas.tolist()} and {pred["lambdas"].tolist()}'
                )
        return lambdas

    def _load_ground_truth(self, gts: Sequence[dict], prefix: str) -> None:
        if self.coco is None:
            self.coco = COCO(self.gt_to_coco_json(gt_dicts=gts, outfile_prefix=prefix))
            check_metric(self)
        if self.gt_converter is not None and not self._gt_is_converted:
            self._gt_is_converted = True
            for id_, ann in self.coco.anns.items():
                self.coco.anns[id_] = functional.transform_ann(
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
        not_finite = 0
        for img_id, box_id in sorted(boxes, key=lambda key: key[1]):
            for person in self._persons(boxes[img_id, box_id]):
                if np.isfinite([person['keypoints'].sum(), person['score']]).all():
                    images[img_id].append(person)
                else:
                    not_finite += 1
        if not_finite:
            number = not_finite + sum(map(len, images.values()))
            MMLogger.get_current_instance().warning(
                f'{not_finite} of {number} poses have a '
                'keypoint or score that is not finite and are left out'
            )
        unknown = sorted(set(images) - set(self.coco.imgs))
        if unknown:
            raise ValueError(
                f'val_evaluator / test_evaluator: {len(unknown)} of {len(images)} '
                f'images with predictions, such as id {unknown[0]}, are not in '
                f'{self.coco.anno_file[0]}'
            )
        return images

    def _persons(self, pred: dict) -> List[dict]:
        lambdas = pred['lambdas']
        if self.pred_converter is not None:
            pred = functional.transform_pred(
                pred,
                self.pred_converter['num_keypoints'],
                self.pred_converter['mapping'],
            )
        scores = pred['keypoint_scores']
        score = score_poses(
            scores,
            pred['bbox_scores'],
            lambdas,
            self.score_mode,
            self.keypoint_score_thr,
            self.score_decay,
            pred.get('presence'),
        )

        keypoints = pred['keypoints']
        if 'areas' in pred:
            areas = pred['areas']
        else:
            areas = np.ptp(keypoints[..., :2], axis=1).prod(axis=1)
        persons = []
        for i in range(len(lambdas)):
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
        kept = defaultdict(list)
        for img_id, persons in images.items():
            if persons:
                indices = suppress_poses(
                    np.array([p['keypoints'][:, :2] for p in persons]),
                    np.array([p['score'] for p in persons]),
                    np.array([p['area'] for p in persons]),
                    self.dataset_meta['sigmas'],
                    self.nms_mode,
                    self.nms_thr,
                )
                kept[img_id] = [persons[i] for i in indices]
        return kept

    def _evaluate(self, images: Dict[int, List[dict]]) -> Dict[str, float]:
        """As the stock metric's evaluation, without its result file."""
        results = [
            self._result(person) for persons in images.values() for person in persons
        ]
        detected = self.coco.loadRes('results', results)
        for iou_type, sigmas in self._evaluations():
            evaluation = CocoKeypointEval(
                self.coco, detected, iou_type, sigmas, self.use_area
            )
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        names = CROWD_STATS if self.iou_type == 'keypoints_crowd' else STATS
        return dict(zip(names, evaluation.stats))

    def _result(self, person: dict) -> dict:
        """A person in COCO's result format."""
        result = dict(
            image_id=person['img_id'],
            category_id=int(person['category_id']),
            keypoints=person['keypoints'].ravel().tolist(),
            score=float(person['score']),
        )
        if 'bbox' in person:
            result['bbox'] = person['bbox'].tolist()
        return result

    def _evaluations(self) -> List[Tuple[str, np.ndarray]]:
        """Type and sigmas of the evaluations; the last one's result counts."""
        return [(self.iou_type, self.dataset_meta['sigmas'])]
