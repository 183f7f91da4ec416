"""OKS and its non-maximum suppression, one person against all others at once.

They keep exactly what ``oks_nms`` and ``soft_oks_nms`` of MMPose keep, in the
same order, whose inner loop goes person by person. Of equal scores the later person
comes first; MMPose leaves that to numpy's sort, which differs between processors.
"""

from typing import Optional

import numpy as np
from mmpose.evaluation.functional.nms import _rescore

COCO_SIGMAS = np.array(
    [0.26, 0.25, 0.25, 0.35, 0.35, 0.79, 0.79, 0.72, 0.72]
    + [0.62, 0.62, 1.07, 1.07, 0.87, 0.87, 0.89, 0.89]
) / 10.0  # fmt: skip


def oks(
    person: np.ndarray,
    others: np.ndarray,
    area: float,
    areas: np.ndarray,
    sigmas: Optional[np.ndarray] = None,
) -> np.ndarray:
    """Object keypoint similarity of one person with M others (COCO, Sec. 1.3).

    Args:
        person (np.ndarray): keypoints in pixels, (K, 2).
        others (np.ndarray): keypoints in pixels, (M, K, 2).
        area (float): area of the person in square pixels.
        areas (np.ndarray): areas of the others, (M, ).
        sigmas (np.ndarray, optional): per-keypoint constants, (K, ). COCO's
            by default.

    Returns:
        np.ndarray: float32 in [0, 1], (M, ).
    """
    variances = ((COCO_SIGMAS if sigmas is None else sigmas) * 2) ** 2
    offset = others - person
    square = offset[..., 0] ** 2 + offset[..., 1] ** 2
    scale = (area + areas) / 2 + np.spacing(1)
    similar = np.exp(-square / variances / scale[:, None] / 2)
    return (similar.sum(axis=1) / len(person)).astype('f4')


def oks_nms(
    keypoints: np.ndarray,
    scores: np.ndarray,
    areas: np.ndarray,
    threshold: float,
    sigmas: Optional[np.ndarray] = None,
) -> np.ndarray:
    """Greedy suppression: keep the best, drop who is closer than the threshold.

    Args:
        keypoints (np.ndarray): of the P persons of one image, (P, K, 2).
        scores (np.ndarray): (P, ).
        areas (np.ndarray): in square pixels, (P, ).
        threshold (float): persons of greater OKS are taken for one.
        sigmas (np.ndarray, optional): as for :func:`oks`.

    Returns:
        np.ndarray: indices of the persons kept, best first.
    """
    order = scores.argsort(kind='stable')[::-1]
    keep = []
    while len(order):
        best, order = order[0], order[1:]
        keep.append(best)
        similar = oks(
            keypoints[best], keypoints[order], areas[best], areas[order], sigmas
        )
        order = order[similar <= threshold]
    return np.array(keep, dtype=np.intp)


def soft_oks_nms(
    keypoints: np.ndarray,
    scores: np.ndarray,
    areas: np.ndarray,
    threshold: float,
    sigmas: Optional[np.ndarray] = None,
    max_dets: int = 20,
) -> np.ndarray:
    """Soft suppression: lower the scores of the similar, keep ``max_dets``.

    Arguments and result as for :func:`oks_nms`.
    """
    order = scores.argsort(kind='stable')[::-1]
    scores = scores[order]
    keep = []
    while len(order) and len(keep) < max_dets:
        best, order = order[0], order[1:]
        keep.append(best)
        similar = oks(
            keypoints[best], keypoints[order], areas[best], areas[order], sigmas
        )
        scores = _rescore(similar, scores[1:], threshold)
        again = scores.argsort(kind='stable')[::-1]
        order, scores = order[again], scores[again]
    return np.array(keep, dtype=np.intp)
