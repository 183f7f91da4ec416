"""Draw poses so that overlapping people stay tellable apart."""

from typing import Optional, Sequence, Tuple

import cv2
import numpy as np

# BGR, far from each other and from skin; one a person
COLORS = [
    (40, 160, 255),
    (255, 140, 20),
    (80, 220, 60),
    (200, 60, 230),
    (240, 230, 50),
    (60, 60, 240),
]


def draw_poses(
    image: np.ndarray,
    keypoints: np.ndarray,
    visible: Optional[np.ndarray] = None,
    skeleton: Sequence[Tuple[int, int]] = (),
    colors: Optional[Sequence[Tuple[int, int, int]]] = None,
    threshold: float = 0.3,
    thickness: int = 2,
) -> np.ndarray:
    """Draw each person in one colour, on a copy of the image.

    Args:
        image (np.ndarray): BGR uint8, (H, W, 3).
        keypoints (np.ndarray): in pixels of the image, (P, K, 2). NaN is not
            drawn.
        visible (np.ndarray, optional): score or visibility, (P, K). Keypoints
            below the threshold are hollow and their limbs thin; those of 0
            and less are not drawn. Defaults to all seen.
        skeleton (Sequence[tuple[int, int]]): keypoint indices that a limb joins.
        colors (Sequence, optional): BGR of each person.
        threshold (float): Defaults to 0.3.
        thickness (int): of limbs in pixels. Defaults to 2.

    Returns:
        np.ndarray: the drawing, (H, W, 3).
    """
    image = image.copy()
    colors = COLORS if colors is None else colors
    if visible is None:
        visible = np.ones(keypoints.shape[:2])
    drawn = (visible > 0) & np.isfinite(keypoints).all(axis=2)
    points = np.where(drawn[..., None], keypoints, 0)
    points = np.clip(points, -32000, 32000).round().astype(int)
    for p in range(len(points)):
        color = colors[p % len(colors)]
        for a, b in skeleton:
            if drawn[p, a] and drawn[p, b]:
                seen = min(visible[p, a], visible[p, b]) >= threshold
                cv2.line(
                    image,
                    tuple(points[p, a].tolist()),
                    tuple(points[p, b].tolist()),
                    color,
                    thickness if seen else 1,
                    cv2.LINE_AA,
                )
        for k in np.flatnonzero(drawn[p]):
            center = tuple(points[p, k].tolist())
            if visible[p, k] >= threshold:
                cv2.circle(image, center, thickness + 2, (20, 20, 20), -1, cv2.LINE_AA)
                cv2.circle(image, center, thickness + 1, color, -1, cv2.LINE_AA)
            else:
                cv2.circle(image, center, thickness + 1, color, 1, cv2.LINE_AA)
    return image
