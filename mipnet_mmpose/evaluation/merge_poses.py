"""How the N poses of all boxes of an image become its people.

The metrics, inference and comparison share it. It is the authors' rule: a pose is
scored as in ``CocoMetric``, the score of λ ≥ 1 is decayed, OKS-NMS does the rest.
Presence is ours; it takes the place of the decay.
"""

import warnings
from collections.abc import Sequence
from typing import Any, Optional

import numpy as np
from mmengine.config import Config
from mmpose.evaluation.metrics import CocoMetric
from mmpose.registry import METRICS

from .metric_configs import metric_configs
from .oks import COCO_SIGMAS, drop_patchwork, oks_nms

UNKNOWN_SIGMA = 0.067  # the mean of COCO's 17


def merge_poses(
    keypoints: np.ndarray,
    keypoint_scores: np.ndarray,
    bbox_scores: np.ndarray,
    lambdas: np.ndarray,
    areas: np.ndarray,
    sigmas: Optional[np.ndarray] = None,
    presence: Optional[np.ndarray] = None,
    *,
    score_mode: str = 'bbox_keypoint',
    keypoint_score_thr: float = 0.2,
    score_decay: float = 0.5,
    presence_thr: float = 0.5,
    nms_mode: str = 'oks_nms',
    nms_thr: float = 0.9,
) -> tuple[np.ndarray, np.ndarray]:
    """The people among the P poses of all boxes of one image.

    Poses that are not finite and those below ``presence_thr`` are left out. OKS-NMS
    drops people found twice; with presence also poses of λ ≥ 1 that are put together
    from several better people.

    Args:
        keypoints (np.ndarray): in pixels of the image, (P, K, 2).
        keypoint_scores (np.ndarray): (P, K).
        bbox_scores (np.ndarray): score of the box of each pose, (P, ).
        lambdas (np.ndarray): (P, ).
        areas (np.ndarray): of the boxes, in square pixels, (P, ).
        sigmas (np.ndarray, optional): from :func:`merge_sigmas`, (K, ). COCO's by
            default.
        presence (np.ndarray, optional): probability that there is such a person,
            (P, ). It takes the place of the decay.
        score_mode (str): as for ``CocoMetric``: ``'bbox_keypoint'`` (box score times
            the mean score of the keypoints above the threshold), ``'bbox'``,
            ``'keypoint'`` or ``'bbox_rle'``.
        keypoint_score_thr (float): of ``'bbox_keypoint'``.
        score_decay (float): factor for λ ≥ 1, without presence.
        presence_thr (float): least presence of a pose.
        nms_mode (str): ``'oks_nms'``, ``'soft_oks_nms'``, or ``'none'`` to keep every
            finite pose, whatever its presence, in the given order.
        nms_thr (float): poses of greater OKS are one person.

    Returns:
        tuple: indices of the people, best first, (M, ); scores of all poses, (P, ),
        NaN for a pose that is not finite, of which a warning says the number.

    Raises:
        ValueError: where the numbers of keypoints and of sigmas differ.
    """
    sigmas = COCO_SIGMAS if sigmas is None else np.asarray(sigmas)
    if keypoints.shape[1] != len(sigmas):
        raise ValueError(
            f'the poses have {keypoints.shape[1]} keypoints, the metainfo of the '
            f'dataset has {len(sigmas)} sigmas: they must be as many'
        )
    if score_mode == 'bbox':
        scores = bbox_scores
    elif score_mode == 'keypoint':
        scores = keypoint_scores.mean(axis=1)
    elif score_mode == 'bbox_rle':
        means = keypoint_scores.mean(axis=1)
        scores = bbox_scores + means + keypoint_scores.max(axis=1)
    else:
        confident = keypoint_scores > keypoint_score_thr
        total = np.where(confident, keypoint_scores, 0).sum(axis=1, dtype=np.float64)
        scores = bbox_scores * total / np.maximum(confident.sum(axis=1), 1)
    if presence is None:
        scores = scores * np.where(lambdas >= 1, score_decay, 1.0)
    else:
        scores = scores * presence

    finite = np.isfinite(keypoints).all(axis=(1, 2)) & np.isfinite(scores)
    finite &= np.isfinite(keypoint_scores).all(axis=1)
    if not finite.all():
        warnings.warn(
            f'{(~finite).sum()} of {len(finite)} poses are not finite and are left out',
            stacklevel=2,
        )
    scores = np.where(finite, scores, np.nan)
    if nms_mode == 'none':
        return np.flatnonzero(finite), scores
    if presence is not None:
        finite &= presence >= presence_thr
    left = np.flatnonzero(finite)
    soft = nms_mode == 'soft_oks_nms'
    kept = oks_nms(keypoints[left], scores[left], areas[left], nms_thr, sigmas, soft)
    left = left[kept]
    if presence is not None and not soft:
        poses = keypoints[left], areas[left], lambdas[left] >= 1
        left = left[drop_patchwork(*poses, nms_thr, sigmas)]
    return left, scores


MERGE_DEFAULTS = dict(merge_poses.__kwdefaults__)


def merge_settings(cfg: Config, **changes: Any) -> dict[str, Any]:
    """How a config's evaluator makes people of poses.

    Args:
        cfg (Config): with a ``test_evaluator``, or without for the defaults.
        **changes: settings to use instead, where not ``None``.

    Returns:
        dict: settings of :func:`merge_poses`, the names of :data:`MERGE_DEFAULTS`.

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


def merge_sigmas(
    dataset_meta: dict, indices: Optional[Sequence[int]] = None
) -> np.ndarray:
    """Per-keypoint constants of OKS for the merge.

    MMPose's hand, face, animal and fashion datasets have none (``sigmas=[]``). They
    get :data:`UNKNOWN_SIGMA`, which no evaluation does.

    Args:
        dataset_meta (dict): with ``num_keypoints`` and ``sigmas``.
        indices (Sequence[int], optional): the K keypoints that are given, the model's
            ``test_cfg.output_keypoint_indices``. All by default.

    Returns:
        np.ndarray: (K, ).
    """
    sigmas = np.asarray(dataset_meta.get('sigmas', ()), dtype=np.float32)
    if not sigmas.size:
        sigmas = np.full(dataset_meta['num_keypoints'], UNKNOWN_SIGMA, np.float32)
    return sigmas if indices is None else sigmas[indices]
