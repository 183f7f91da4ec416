"""Draw poses so that overlapping people stay tellable apart; words on pictures."""

from collections.abc import Sequence
from typing import Optional

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
OUTLINE = (20, 20, 20)
TITLE_HEIGHT = 28  # pixels


def draw_poses(
    image: np.ndarray,
    keypoints: np.ndarray,
    visible: Optional[np.ndarray] = None,
    skeleton: Sequence[tuple[int, int]] = (),
    colors: Optional[Sequence[tuple[int, int, int]]] = None,
    threshold: float = 0.3,
    thickness: int = 2,
    lambdas: Optional[Sequence[float]] = None,
    radius: Optional[int] = None,
) -> np.ndarray:
    """Draw each person in one colour, on a copy of the image.

    The first person lies on top.

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
        lambdas (Sequence[float], optional): λ of each person, written over the
            head. Defaults to none written.
        radius (int, optional): of keypoints in pixels. Defaults to one more than
            the thickness.

    Returns:
        np.ndarray: the drawing, (H, W, 3).
    """
    image = np.ascontiguousarray(image).copy()
    colors = COLORS if colors is None else colors
    radius = thickness + 1 if radius is None else radius
    if visible is None:
        visible = np.ones(keypoints.shape[:2])
    drawn = (visible > 0) & np.isfinite(keypoints).all(axis=2)
    points = np.where(drawn[..., None], keypoints, 0)
    points = np.clip(points, -32000, 32000).round().astype(int)
    for p in reversed(range(len(points))):
        color = colors[p % len(colors)]
        places = [tuple(point) for point in points[p].tolist()]
        for a, b in skeleton:
            if drawn[p, a] and drawn[p, b]:
                seen = min(visible[p, a], visible[p, b]) >= threshold
                width = thickness if seen else 1
                cv2.line(image, places[a], places[b], color, width, cv2.LINE_AA)
        for k in np.flatnonzero(drawn[p]):
            seen = visible[p, k] >= threshold
            if seen:
                cv2.circle(image, places[k], radius + 1, OUTLINE, -1, cv2.LINE_AA)
            width = -1 if seen else 1
            cv2.circle(image, places[k], radius, color, width, cv2.LINE_AA)
    if lambdas is not None:
        tags: list[tuple] = []
        for p in np.flatnonzero(drawn.any(axis=1)):
            seen = points[p][drawn[p]]
            tags.append(_free_place(seen[seen[:, 1].argmin()], tags, image.shape))
            _write_lambda(image, tags[-1], lambdas[p], colors[p % len(colors)])
    return image


TAG_HEIGHT, TAG_WIDTH, TAG_GAP = 14, 30, 10  # pixels


def _free_place(top: np.ndarray, taken: Sequence[tuple], shape: tuple) -> tuple:
    """Over the topmost keypoint, or beside it where another tag is; bottom left."""
    x = int(np.clip(top[0] - 10, 0, max(shape[1] - TAG_WIDTH, 0)))
    y = int(np.clip(top[1] - TAG_GAP, TAG_HEIGHT, max(shape[0] - 1, TAG_HEIGHT)))
    step = TAG_WIDTH if 2 * x < shape[1] else -TAG_WIDTH
    while any(abs(x - a) < TAG_WIDTH and abs(y - b) < TAG_HEIGHT for a, b in taken):
        x += step
    return x, y


def _write_lambda(image: np.ndarray, place: tuple, value: float, color: tuple) -> None:
    """A tag such as λ1; OpenCV's fonts have no λ, so it is drawn."""
    x, y = place
    text = f'{value:g}'
    font = (cv2.FONT_HERSHEY_SIMPLEX, 0.4)
    (width, _), _ = cv2.getTextSize(text, *font, 1)
    cv2.rectangle(image, (x, y - TAG_HEIGHT + 1), (x + 14 + width, y), color, -1)
    stroke = dict(color=OUTLINE, thickness=1, lineType=cv2.LINE_AA)
    cv2.line(image, (x + 3, y - 11), (x + 9, y - 3), **stroke)
    cv2.line(image, (x + 6, y - 7), (x + 2, y - 3), **stroke)
    cv2.putText(image, text, (x + 11, y - 3), *font, OUTLINE, 1, cv2.LINE_AA)


def write_title(image: np.ndarray, text: str, left: int = 6, color: tuple = OUTLINE):
    """Write at the bottom of an image (H, W, 3), ``left`` pixels from its edge."""
    place, font = (left, len(image) - 8), cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(image, text, place, font, 0.45, color, 1, cv2.LINE_AA)


def add_titles(image: np.ndarray, titles: Sequence[str]) -> np.ndarray:
    """An image (H, W, 3) under a white bar with titles at even distances."""
    bar = np.full((TITLE_HEIGHT, image.shape[1], 3), 255, np.uint8)
    for i, title in enumerate(titles):
        write_title(bar, title, 6 + i * bar.shape[1] // len(titles))
    return np.vstack([bar, image])
