"""The people of an image from the poses of all its boxes."""

import warnings
from typing import Any, Dict, Sequence

import numpy as np
from mmengine.config import Config
from mmengine.structures import InstanceData, PixelData
from mmpose.evaluation.metrics import CocoMetric
from mmpose.registry import METRICS
from mmpose.structures import PoseDataSample
from mmpose.structures.utils import revert_heatmap
from torch import nn

from ..evaluation import score_poses, suppress_poses
from ..evaluation.metric_configs import metric_configs

MERGE_DEFAULTS = dict(
    score_mode='bbox_keypoint',
    keypoint_score_thr=0.2,
    score_decay=0.5,
    presence_thr=0.95,
    nms_mode='oks_nms',
    nms_thr=0.9,
)

UNKNOWN_SIGMA = 0.067  # the mean of COCO's 17


def merge_settings(cfg: Config, **changes: Any) -> Dict[str, Any]:
    """How a config's evaluator scores and merges poses.

    Args:
        cfg (Config): with a ``test_evaluator``, or without for the defaults of
            :class:`MultiInstanceCocoMetric`.
        **changes: settings to use instead, where not ``None``.

    Returns:
        dict: arguments of :func:`score_poses` and :func:`suppress_poses`, and
        ``presence_thr``, the least probability that there is such a person.

    Raises:
        ValueError: where a name in ``changes`` is unknown.
    """
    unknown = sorted(set(changes) - set(MERGE_DEFAULTS))
    if unknown:
        raise ValueError(f'unknown settings {unknown}, known are {[*MERGE_DEFAULTS]}')
    settings = dict(MERGE_DEFAULTS)
    for _, evaluator in metric_configs(cfg.get('test_evaluator'), 'test_evaluator'):
        kind = evaluator.get('type', '')
        kind = kind if isinstance(kind, type) else METRICS.get(kind)
        if kind is not None and issubclass(kind, CocoMetric):
            settings.update((k, evaluator[k]) for k in settings if k in evaluator)
            break
    settings.update((k, v) for k, v in changes.items() if v is not None)
    return settings


def merge_sigmas(dataset_meta: dict) -> np.ndarray:
    """Per-keypoint constants of OKS for the merge, (K, ).

    MMPose's hand, face, animal and fashion datasets have none (``sigmas=[]``). They
    get :data:`UNKNOWN_SIGMA`, which no evaluation does.

    Raises:
        ValueError: where there are some, but not one for each keypoint.
    """
    num = dataset_meta['num_keypoints']
    sigmas = np.asarray(dataset_meta.get('sigmas', ()), dtype=np.float32)
    if not sigmas.size:
        return np.full(num, UNKNOWN_SIGMA, np.float32)
    if len(sigmas) != num:
        raise ValueError(
            f'metainfo.sigmas has {len(sigmas)} numbers for {num} keypoints: give one '
            'for each, or an empty list'
        )
    return sigmas


def merge_boxes(
    model: nn.Module,
    samples: Sequence[PoseDataSample],
    box_indices: np.ndarray,
    metainfo: Dict[str, Any],
    settings: Dict[str, Any],
) -> PoseDataSample:
    """Merge the poses of all boxes of an image into its people.

    Args:
        model (nn.Module): for the keypoints of its ``dataset_meta``.
        samples (Sequence[PoseDataSample]): what the model gave for each box.
        box_indices (np.ndarray): number of each box.
        metainfo (dict): of the image.
        settings (dict): from :func:`merge_settings`.

    Returns:
        PoseDataSample: ``pred_instances`` with the fields of
        :func:`estimate_poses` and ``keypoints_visible``; ``pred_fields`` with
        ``heatmaps`` (N·K, H, W) where the model gives them.
    """
    merged = PoseDataSample(metainfo=metainfo)
    sigmas = merge_sigmas(model.dataset_meta)
    if model.test_cfg.get('output_keypoint_indices') is not None:
        sigmas = sigmas[model.test_cfg['output_keypoint_indices']]
    if not samples:
        merged.pred_instances = _nobody(len(sigmas))
        if getattr(model.head, 'presence', None) is not None:
            merged.pred_instances.presence = np.zeros(0, np.float32)
        return merged
    poses = InstanceData.cat([sample.pred_instances for sample in samples])
    num = len(poses) // len(samples)  # poses per box
    if 'lambdas' not in poses:  # a stock model
        poses.lambdas = np.zeros(len(poses), dtype=np.float32)
    poses.box_indices = np.repeat(box_indices, num)
    poses.scores = score_poses(
        poses.keypoint_scores,
        poses.bbox_scores,
        poses.lambdas,
        settings['score_mode'],
        settings['keypoint_score_thr'],
        settings['score_decay'],
        poses.get('presence'),
    )
    areas = [sample.gt_instances.bbox_scales.prod(axis=1) for sample in samples]
    areas = np.repeat(np.concatenate(areas), num)
    finite = np.isfinite(poses.keypoints).all(axis=(1, 2)) & np.isfinite(poses.scores)
    if not finite.all():
        warnings.warn('poses that are not finite are left out', stacklevel=2)
    if 'presence' in poses and settings['nms_mode'] != 'none':
        finite &= poses.presence >= settings['presence_thr']
    finite = np.flatnonzero(finite)
    keep = finite[
        suppress_poses(
            poses.keypoints[finite],
            poses.scores[finite],
            areas[finite],
            sigmas,
            settings['nms_mode'],
            settings['nms_thr'],
        )
    ]
    merged.pred_instances = InstanceData(**{k: v[keep] for k, v in poses.items()})
    if 'pred_fields' in samples[0] and 'heatmaps' in samples[0].pred_fields:
        merged.pred_fields = PixelData(heatmaps=_image_heatmaps(samples))
    return merged


def _nobody(num_keypoints: int) -> InstanceData:
    return InstanceData(
        keypoints=np.zeros((0, num_keypoints, 2), np.float32),
        keypoint_scores=np.zeros((0, num_keypoints), np.float32),
        keypoints_visible=np.zeros((0, num_keypoints), np.float32),
        scores=np.zeros(0),
        lambdas=np.zeros(0, np.float32),
        bboxes=np.zeros((0, 4), np.float32),
        bbox_scores=np.zeros(0, np.float32),
        box_indices=np.zeros(0, np.int64),
    )


def _image_heatmaps(samples: Sequence[PoseDataSample]) -> np.ndarray:
    """The heatmaps of all boxes on the image, the larger value where they meet."""
    merged = None
    for sample in samples:
        heatmaps = revert_heatmap(
            sample.pred_fields.heatmaps,
            sample.input_center,
            sample.input_scale,
            sample.ori_shape,
        )
        merged = heatmaps if merged is None else np.maximum(merged, heatmaps)
    return merged
