from pathlib import Path
from typing import Dict, List, Optional, Sequence

import numpy as np
from mmengine import load
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmengine.runner import Runner
from mmpose.evaluation.metrics import CocoMetric

from ..datasets.dataset_files import check_config_files
from ..datasets.image_paths import paths_outside
from ..evaluation import MultiInstanceCocoMetric, score_poses, suppress_poses
from ..evaluation.ground_truth import check_metric_config
from ..evaluation.metric_configs import metric_configs
from ..models.stock_checkpoint import load_whole_checkpoint


class CompareError(Exception):
    """What keeps two models from being compared, in a sentence."""


class TestedModel:
    """A model, its poses for every box of a test set, and MMPose's figures of them.

    It is tested once, as MMPose's ``tools/test.py`` does; the poses are saved, and
    what is here comes from the saved ones.

    Args:
        name (str): ``'baseline'`` or ``'mipnet'``; of the file and the errors.
        cfg (Config): with ``load_from``.
        folder (Path): for the poses, ``<name>.pkl``.

    Attributes:
        model (nn.Module): in eval mode.
        metric (CocoMetric): of the config, with its annotations.
        figures (dict): what ``tools/test.py`` prints.
        meta (dict): of the dataset.
        sigmas (np.ndarray): per-keypoint constants of OKS, (K, ).
        samples (list[dict]): the saved samples of the B boxes, by their ids.
        images (list): image id of each box.
        boxes (np.ndarray): left, top, right, bottom in pixels, (B, 4).
        box_scores (np.ndarray): (B, ).
        keypoints (np.ndarray): in pixels of the image, (B, N, K, 2).
        keypoint_scores (np.ndarray): (B, N, K).
        lambdas (np.ndarray): (N, ).
        presence (np.ndarray | None): (B, N), where the head has it.

    Raises:
        CompareError: where a file of the test set cannot give a right result, the
            checkpoint is not for the model, or the figures are
            not those of a ``CocoMetric``.
    """

    __test__ = False  # pytest: not a test

    def __init__(self, name: str, cfg: Config, folder: Path):
        file = folder / f'{name}.pkl'
        dump = dict(type='DumpResults', out_file_path=str(file))
        _check_files(name, cfg)
        cfg.test_evaluator = [*evaluators(cfg), dump]
        runner = Runner.from_cfg(cfg)
        outside = paths_outside(runner.test_dataloader.dataset)
        if outside:
            raise CompareError(
                f'--{name}: the annotations name {len(outside)} images outside of '
                f'data_root and data_prefix, such as {outside[0]}'
            )
        try:
            load_whole_checkpoint(runner.model, cfg.load_from)
        except Exception as error:  # a damaged file can raise anything
            raise CompareError(f'--{name}: {type(error).__name__}: {error}') from error
        self.figures = {key: float(value) for key, value in runner.test().items()}
        metrics = runner.test_evaluator.metrics
        metrics = [metric for metric in metrics if isinstance(metric, CocoMetric)]
        if not metrics or getattr(metrics[0], 'pred_converter', None):
            raise CompareError(
                f"--{name}: the config's test_evaluator must be a CocoMetric without "
                f'pred_converter, it is {cfg.test_evaluator[0].type}'
            )
        self.metric = metrics[0]
        self.sigmas = np.asarray(self.metric.dataset_meta['sigmas'])
        self.model = runner.model.eval()
        self.meta = runner.test_dataloader.dataset.metainfo
        samples = {}
        for sample in load(file):  # padding for several processes repeats boxes
            samples.setdefault((sample['img_id'], sample['id']), sample)
        self.samples = [samples[key] for key in sorted(samples, key=lambda key: key[1])]
        self.images = [sample['img_id'] for sample in self.samples]
        poses = [sample['pred_instances'] for sample in self.samples]
        self.boxes = np.array([pose['bboxes'][0] for pose in poses])
        self.box_scores = np.array([pose['bbox_scores'][0] for pose in poses])
        self.keypoints = np.array([pose['keypoints'] for pose in poses])
        self.keypoint_scores = np.array([pose['keypoint_scores'] for pose in poses])
        num = self.keypoints.shape[1]
        self.lambdas = np.array(poses[0].get('lambdas', np.arange(num)))
        self.presence = None
        if 'presence' in poses[0]:
            self.presence = np.array([pose['presence'] for pose in poses])
        self.areas = np.array(
            [sample['gt_instances']['bbox_scales'].prod() for sample in self.samples]
        )

    def results(
        self, kept: Optional[np.ndarray] = None, choice: Optional[np.ndarray] = None
    ) -> List[dict]:
        """The people of all images, merged as the metric merges them.

        Args:
            kept (np.ndarray, optional): which boxes are given, bool (B, ). Defaults
                to all.
            choice (np.ndarray, optional): the one pose of each box that counts,
                (B, ), with the score it has itself. By default all N compete, with
                the metric's score decay.

        Returns:
            list[dict]: COCO's results, each with the index of its ``box`` and its
            ``presence``, if there is one.
        """
        metric = self.metric
        box = np.arange(len(self.images))
        box = box if kept is None else box[kept]
        if not len(box):
            return []
        if choice is None:
            num = len(self.lambdas)
            box, instance = np.repeat(box, num), np.tile(np.arange(num), len(box))
            lambdas = self.lambdas[instance]
        else:
            instance, lambdas = choice[box], np.zeros(len(box))
        keypoints = self.keypoints[box, instance]
        keypoint_scores = self.keypoint_scores[box, instance]
        scores = score_poses(
            keypoint_scores,
            self.box_scores[box],
            lambdas,
            metric.score_mode,
            metric.keypoint_score_thr,
            getattr(metric, 'score_decay', 1.0),
            None
            if self.presence is None or choice is not None
            else self.presence[box, instance],
        )
        triplets = np.concatenate([keypoints, keypoint_scores[..., None]], axis=2)
        finite = np.isfinite(triplets).all(axis=(1, 2))
        people = []
        for image, rows in rows_by_key(self.images[b] for b in box).items():
            rows = rows[finite[rows]]
            best = suppress_poses(
                keypoints[rows],
                scores[rows],
                self.areas[box[rows]],
                self.sigmas,
                metric.nms_mode,
                metric.nms_thr,
            )
            for row in rows[best]:
                left, top, right, bottom = self.boxes[box[row]].tolist()
                sample = self.samples[box[row]]
                person = dict(image_id=image, box=int(box[row]))
                person.update(
                    category_id=int(sample.get('category_id', 1)),
                    keypoints=triplets[row].ravel(),
                    score=float(scores[row]),
                    bbox=[left, top, right - left, bottom - top],
                )
                if self.presence is not None:
                    person['presence'] = float(self.presence[box[row], instance[row]])
                people.append(person)
        return people


def _check_files(name: str, cfg: Config) -> None:
    """Before the test: whether its result could be right."""
    dataset = cfg.test_dataloader.dataset
    try:
        with DefaultScope.overwrite_default_scope(cfg.get('default_scope', 'mmpose')):
            check_config_files(dataset, 'test_dataloader.dataset')
            for metric in evaluators(cfg):
                check_metric_config(metric, dataset)
    except ValueError as error:
        raise CompareError(f'--{name}: {error}') from error


def rows_by_key(keys: Sequence) -> Dict[object, np.ndarray]:
    """Indices of equal keys, in the order of their first."""
    rows = {}
    for index, key in enumerate(keys):
        rows.setdefault(key, []).append(index)
    return {key: np.array(indices) for key, indices in rows.items()}


def evaluators(cfg: Config) -> List[dict]:
    """The metrics of a config's test evaluator."""
    found = cfg.test_evaluator
    if isinstance(found, dict) and 'datasets' in found:
        raise CompareError(
            "the config's test_evaluator is one for several datasets "
            '(MultiDatasetEvaluator): give a config that tests on one of them'
        )
    keys = dict(metric_configs(found, 'test_evaluator'))
    return [metric for key, metric in keys.items() if not key.endswith('.metric')]


def check_comparable(baseline: TestedModel, mipnet: TestedModel) -> None:
    """Raise CompareError unless both were tested on the same boxes and keypoints."""
    if not isinstance(mipnet.metric, MultiInstanceCocoMetric):
        raise CompareError("--mipnet: the config's test_evaluator keeps one pose a box")
    if baseline.keypoints.shape[1] != 1:
        raise CompareError('--baseline: the model gives several poses per box')
    if baseline.images != mipnet.images or not np.array_equal(
        baseline.boxes, mipnet.boxes
    ):
        raise CompareError(
            f'the configs test on different boxes ({len(baseline.images)} and '
            f'{len(mipnet.images)}): give --data, --boxes or --cfg-options'
        )
    if not np.array_equal(baseline.sigmas, mipnet.sigmas):
        raise CompareError('the configs test on different keypoints')
