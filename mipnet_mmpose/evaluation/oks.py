"""OKS and its non-maximum suppression, one person against all others at once.

The suppression keeps exactly what ``oks_nms`` and ``soft_oks_nms`` of MMPose keep, in
the same order and precision; MMPose's inner loop goes person by person. Of equal scores
the later person comes first; MMPose leaves that to numpy's sort, which differs by
processor.
"""

from typing import Optional, Union

import numpy as np

SOFT_MAX = 20  # persons that MMPose's soft suppression keeps
COCO_SIGMAS = np.array(
    [0.26, 0.25, 0.25, 0.35, 0.35, 0.79, 0.79, 0.72, 0.72]
    + [0.62, 0.62, 1.07, 1.07, 0.87, 0.87, 0.89, 0.89]
) / 10.0  # fmt: skip


def oks(
    poses: np.ndarray,
    person: np.ndarray,
    area: Union[float, np.ndarray],
    sigmas: Optional[np.ndarray] = None,
) -> np.ndarray:
    """Object keypoint similarity of poses with a person (COCO, Sec. 1.3).

    The mean over the keypoints of ``exp(-d^2 / (2 * area * (2 * sigma)^2))``.

    Args:
        poses (np.ndarray): keypoints in pixels, (..., K, 2).
        person (np.ndarray): keypoints in pixels, (K, 2); or one for each pose.
        area (float | np.ndarray): in square pixels, one or one for each pose.
        sigmas (np.ndarray, optional): per-keypoint constants, (K, ). COCO's by default.

    Returns:
        np.ndarray: in [0, 1], (...). Bit for bit what COCOeval computes.
    """
    similar = _similarity(poses, person, area, sigmas)
    return similar.sum(axis=-1) / similar.shape[-1]


def _similarity(poses, person, area, sigmas) -> np.ndarray:
    """That of each keypoint, (..., K)."""
    variances = ((COCO_SIGMAS if sigmas is None else sigmas) * 2) ** 2
    offset = poses - person
    square = offset[..., 0] ** 2 + offset[..., 1] ** 2
    error = square / variances / (np.asarray(area) + np.spacing(1))[..., None] / 2
    return np.exp(-error)


def oks_nms(
    keypoints: np.ndarray,
    scores: np.ndarray,
    areas: np.ndarray,
    threshold: float,
    sigmas: Optional[np.ndarray] = None,
    soft: bool = False,
) -> np.ndarray:
    """Greedy suppression: keep the best, drop who is closer than the threshold.

    Args:
        keypoints, scores, areas (np.ndarray): of the P persons of one image, (P, K, 2),
            (P, ) and (P, ).
        threshold (float): persons of greater OKS are taken for one.
        sigmas (np.ndarray, optional): as for :func:`oks`.
        soft (bool): lower the scores of the similar, and keep the best 20.

    Returns:
        np.ndarray: indices of the persons kept, best first.
    """
    scores = scores.copy()
    order = scores.argsort(kind='stable')[::-1]
    keep: list = []
    while len(order) and not (soft and len(keep) == SOFT_MAX):
        best, order = order[0], order[1:]
        keep.append(best)
        area = (areas[best] + areas[order]) / 2
        similar = oks(keypoints[order], keypoints[best], area, sigmas).astype('f4')
        if soft:
            scores[order] *= np.exp(-(similar**2) / threshold)
            order = order[scores[order].argsort(kind='stable')[::-1]]
        else:
            order = order[similar <= threshold]
    return np.array(keep, dtype=np.intp)


def drop_patchwork(
    keypoints: np.ndarray,
    areas: np.ndarray,
    suspects: np.ndarray,
    threshold: float,
    sigmas: Optional[np.ndarray] = None,
) -> np.ndarray:
    """Drop poses whose keypoints are those of several better persons.

    As :func:`oks_nms`, of persons that are in order, the best first; but each keypoint
    is compared with the person it is nearest to, and only suspects (P, ) are dropped.
    """
    keep: list = []
    for i in range(len(keypoints)):
        if suspects[i] and keep:
            area = (areas[keep] + areas[i]) / 2
            similar = _similarity(keypoints[keep], keypoints[i], area, sigmas)
            if similar.max(axis=0).mean() > threshold:
                continue
        keep.append(i)
    return np.array(keep, dtype=np.intp)
