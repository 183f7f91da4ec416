"""A model's predictions for a test set, and what MMPose's test says of them."""

from pathlib import Path
from typing import Dict, List, Optional

import numpy as np
from mmengine import load
from mmengine.config import Config
from mmengine.runner import Runner
from mmpose.evaluation.metrics import CocoMetric

from ..evaluation import MultiInstanceCocoMetric, score_poses, suppress_poses
from ..models.stock_checkpoint import check_weights
from .grouping import group


class CompareError(Exception):
    """What keeps two models from being compared, in a sentence."""


class TestRun:
    """A model's predictions for every box, and what MMPose's test says of them.

    Args:
        name (str): ``'baseline'`` or ``'mipnet'``.
        cfg (Config): with ``load_from``.
        folder (Path): for the saved predictions.

    Attributes:
        metric (CocoMetric): of the config, with its annotations.
        figures (dict): what tools/test.py of MMPose prints.
        model (nn.Module): the network, in eval mode.
        meta (dict): of the dataset.
        samples (list[dict]): saved predictions of B boxes, in the order of their ids.
        images (list): image ids of the boxes.
        boxes (np.ndarray): left, top, right, bottom in pixels, (B, 4).
        box_scores (np.ndarray): (B,).
        keypoints (np.ndarray): in pixels of the image, (B, N, K, 2).
        keypoint_scores (np.ndarray): (B, N, K).
        lambdas (np.ndarray): (N,).
    """

    def __init__(self, name, cfg, folder):
        file = folder / f'{name}.pkl'
        metrics = [*evaluators(cfg), dict(type='DumpResults', out_file_path=str(file))]
        cfg.test_evaluator = metrics
        runner = Runner.from_cfg(cfg)
        try:
            check_weights(runner.model, cfg.load_from)
        except Exception as error:  # a damaged file can raise anything
            raise CompareError(f'--{name}: {type(error).__name__}: {error}') from error
        self.figures = {key: float(value) for key, value in runner.test().items()}
        found = [
            metric
            for metric in runner.test_evaluator.metrics
            if isinstance(metric, CocoMetric)
        ]
        if not found or found[0].pred_converter is not None:
            raise CompareError(
                f"--{name}: the config's test_evaluator must be a CocoMetric without "
                f'pred_converter, it is {cfg.test_evaluator[0].type}'
            )
        self.metric = found[0]
        self.sigmas = np.asarray(self.metric.dataset_meta['sigmas'])
        self.model = runner.model.eval()
        self.meta = runner.test_dataloader.dataset.metainfo
        by_id = {}
        for sample in load(file):
            by_id.setdefault((sample['img_id'], sample['id']), sample)
        self.samples = [by_id[key] for key in sorted(by_id, key=lambda key: key[1])]
        poses = [sample['pred_instances'] for sample in self.samples]
        self.images = [sample['img_id'] for sample in self.samples]
        self.boxes = np.array([pose['bboxes'][0] for pose in poses])
        self.box_scores = np.array([pose['bbox_scores'][0] for pose in poses])
        self.keypoints = np.array([pose['keypoints'] for pose in poses])
        self.keypoint_scores = np.array([pose['keypoint_scores'] for pose in poses])
        num = self.keypoints.shape[1]
        self.lambdas = np.array(poses[0].get('lambdas', np.arange(num)))
        self.areas = np.array(
            [sample['gt_instances']['bbox_scales'].prod() for sample in self.samples]
        )

    def results(self, kept=None, choice=None):
        """The people of all images in COCO's results format, as the metric has them.

        Args:
            kept (np.ndarray, optional): which boxes are given, bool (B,). Defaults
                to all.
            choice (np.ndarray, optional): the one pose of each box that counts,
                (B,), with its own score. By default all N compete, with the decay.

        Returns:
            list[dict]: with the index of the box as ``box``.
        """
        metric = self.metric
        box = np.arange(len(self.images))
        box = box if kept is None else box[kept]
        if choice is None:
            num = len(self.lambdas)
            box, instance = np.repeat(box, num), np.tile(np.arange(num), len(box))
            lambdas = self.lambdas[instance]
        else:
            instance, lambdas = choice[box], np.zeros(len(box))
        if not len(box):
            return []
        keypoints = self.keypoints[box, instance]
        keypoint_scores = self.keypoint_scores[box, instance]
        scores = score_poses(
            keypoint_scores,
            self.box_scores[box],
            lambdas,
            metric.score_mode,
            metric.keypoint_score_thr,
            getattr(metric, 'score_decay', 1.0),
        )
        triplets = np.concatenate([keypoints, keypoint_scores[..., None]], axis=2)
        people = []
        for image, rows in group(self.images[b] for b in box).items():
            rows = rows[np.isfinite(triplets[rows]).all(axis=(1, 2))]
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
                people.append(
                    dict(
                        image_id=image,
                        category_id=int(self.samples[box[row]].get('category_id', 1)),
                        keypoints=triplets[row].ravel(),
                        score=float(scores[row]),
                        bbox=[left, top, right - left, bottom - top],
                        box=int(box[row]),
                    )
                )
        return people


def evaluators(cfg):
    """The evaluators of a config, which may be one or a list."""
    found = cfg.test_evaluator
    return found if isinstance(found, (list, tuple)) else [found]


def check_comparable(baseline, mipnet):
    """That both models were tested on the same boxes and keypoints."""
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
