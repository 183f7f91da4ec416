"""How the N poses of every box of an image become its people.

The metric and the inferencer share it. It is the authors' rule: a pose is scored
as in ``CocoMetric``, the score of λ ≥ 1 is decayed, OKS-NMS does the rest.
"""

from typing import Optional

import numpy as np

from .oks import oks_nms, soft_oks_nms

SUPPRESSIONS = {'oks_nms': oks_nms, 'soft_oks_nms': soft_oks_nms}


def score_poses(
    keypoint_scores: np.ndarray,
    bbox_scores: np.ndarray,
    lambdas: np.ndarray,
    score_mode: str = 'bbox_keypoint',
    keypoint_score_thr: float = 0.2,
    score_decay: float = 0.5,
    presence: Optional[np.ndarray] = None,
) -> np.ndarray:
    """Score of each of P poses.

    Args:
        keypoint_scores (np.ndarray): (P, K).
        bbox_scores (np.ndarray): score of the box of each pose, (P, ).
        lambdas (np.ndarray): (P, ).
        score_mode (str): As for ``CocoMetric``: ``'bbox_keypoint'`` (box score
            times the mean score of the keypoints above the threshold),
            ``'bbox'``, ``'keypoint'`` or ``'bbox_rle'``.
        keypoint_score_thr (float): Of ``'bbox_keypoint'``. Defaults to 0.2.
        score_decay (float): Factor for poses of λ ≥ 1. Defaults to 0.5.
        presence (np.ndarray, optional): Factor of each pose instead of the decay, the
            probability that there is such a person, (P, ).

    Returns:
        np.ndarray: (P, ).
    """
    if score_mode == 'bbox':
        score = bbox_scores
    elif score_mode == 'keypoint':
        score = keypoint_scores.mean(axis=1)
    elif score_mode == 'bbox_rle':
        score = bbox_scores + keypoint_scores.mean(axis=1) + keypoint_scores.max(axis=1)
    else:
        confident = keypoint_scores > keypoint_score_thr
        total = np.where(confident, keypoint_scores, 0).sum(axis=1, dtype=np.float64)
        score = bbox_scores * total / np.maximum(confident.sum(axis=1), 1)
    if presence is None:
        presence = np.where(lambdas >= 1, score_decay, 1.0)
    return presence * score


def suppress_poses(
    keypoints: np.ndarray,
    scores: np.ndarray,
    areas: np.ndarray,
    sigmas: Optional[np.ndarray] = None,
    nms_mode: str = 'oks_nms',
    nms_thr: float = 0.9,
) -> np.ndarray:
    """Indices of the poses of an image to keep.

    Args:
        keypoints (np.ndarray): in pixels of the image, (P, K, 2).
        scores (np.ndarray): (P, ).
        areas (np.ndarray): of the boxes, in square pixels, (P, ).
        sigmas (np.ndarray, optional): per-keypoint constants of OKS, (K, ).
            COCO's by default.
        nms_mode (str): ``'oks_nms'``, ``'soft_oks_nms'``, or ``'none'`` to keep
            all. Defaults to ``'oks_nms'``.
        nms_thr (float): Poses of greater OKS are taken for one person.
            Defaults to 0.9.

    Returns:
        np.ndarray: best first; in the given order with ``'none'``.
    """
    if nms_mode == 'none' or not len(scores):
        return np.arange(len(scores))
    return SUPPRESSIONS[nms_mode](keypoints, scores, areas, nms_thr, sigmas)
