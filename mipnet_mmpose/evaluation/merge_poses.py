"""How the N poses of all boxes of an image become its people.

The metrics, inference and comparison share it. It is the authors' rule: a pose is
scored as in ``CocoMetric``, the score of λ ≥ 1 is decayed, OKS-NMS does the rest.
Presence is ours; it takes the place of the decay.
"""

import warnings
from collections.abc import Iterator, Sequence
from typing import Any, Optional

import numpy as np
from mmengine.config import Config
from mmpose.evaluation.metrics import CocoMetric
from mmpose.registry import METRICS

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
    """Settings of :func:`merge_poses` by a config's ``test_evaluator``, or defaults.

    ``changes`` are taken instead, where not ``None``.
    """
    settings = dict(MERGE_DEFAULTS)
    for _, metric, _ in coco_metrics(cfg.get('test_evaluator'), 'test_evaluator'):
        settings.update((k, metric[k]) for k in settings if k in metric)
        break
    settings.update((k, v) for k, v in changes.items() if v is not None)
    return settings


def coco_metrics(evaluator: Any, key: str) -> Iterator[tuple[str, dict, type]]:
    """Config key, config and class of each metric of COCO's kind in an evaluator.

    That is a metric, a list of them, or a dict with ``metrics``, again one or a list;
    a metric may have another one inside, ``metric``.
    """
    if isinstance(evaluator, (list, tuple)):
        for i, metric in enumerate(evaluator):
            yield from coco_metrics(metric, f'{key}.{i}')
    elif isinstance(evaluator, dict) and 'metrics' in evaluator:
        yield from coco_metrics(evaluator['metrics'], f'{key}.metrics')
    elif isinstance(evaluator, dict) and evaluator:
        yield from coco_metrics(evaluator.get('metric'), f'{key}.metric')
        kind = evaluator.get('type', '')
        kind = kind if isinstance(kind, type) else METRICS.get(kind)
        if isinstance(kind, type) and issubclass(kind, CocoMetric):
            yield key, evaluator, kind


def merge_sigmas(
    dataset_meta: dict, indices: Optional[Sequence[int]] = None
) -> np.ndarray:
    """Per-keypoint constants of OKS (K, ), of all keypoints or of those chosen.

    MMPose's hand, face, animal and fashion datasets have none (``sigmas=[]``). They
    get :data:`UNKNOWN_SIGMA`, which no evaluation does.
    """
    sigmas = np.asarray(dataset_meta.get('sigmas', ()), dtype=np.float32)
    if not sigmas.size:
        sigmas = np.full(dataset_meta['num_keypoints'], UNKNOWN_SIGMA, np.float32)
    return sigmas if indices is None else sigmas[indices]
