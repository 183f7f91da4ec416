"""Person boxes as the APIs take them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

LIMIT = 1e6  # pixels


class Boxes(NamedTuple):
    """The usable boxes of one image."""

    xyxy: np.ndarray  # float32, in pixels of the image, (n, 4)
    scores: np.ndarray  # float32, (n, )
    indices: np.ndarray  # their places among the boxes given, (n, )


def check_boxes(boxes: Any, size: tuple[int, int]) -> Boxes:
    """Leave out boxes that are not finite, empty or outside of the image.

    Args:
        boxes (array-like): (n, 4) as left, top, right, bottom in pixels, or (n, 5)
            with a score; without it the score is 1.
        size (tuple[int, int]): height and width of the image.

    Raises:
        ValueError: where the shape is another one.
    """
    boxes = np.asarray(boxes, dtype=np.float64)
    boxes = boxes if boxes.size else boxes.reshape(0, 5)
    if boxes.ndim != 2 or boxes.shape[1] not in (4, 5):
        raise ValueError(
            'the boxes of an image are (n, 4) as left, top, right, bottom, or (n, 5) '
            f'with a score, got shape {boxes.shape}'
        )
    boxes = np.c_[boxes, np.ones(len(boxes))][:, :5]
    left, top, right, bottom = boxes[:, :4].T
    height, width = size
    with np.errstate(invalid='ignore'):
        usable = (np.abs(boxes) < LIMIT).all(axis=1)  # false for NaN
        usable &= (left < right) & (top < bottom)
        usable &= (left < width) & (right > 0) & (top < height) & (bottom > 0)
    kept = boxes[usable].astype(np.float32)
    return Boxes(kept[:, :4], kept[:, 4], np.flatnonzero(usable))


def boxes_per_image(boxes: Sequence, num_images: int) -> Sequence:
    """One (n, 4) or (n, 5) for each image; of a single image also the boxes themselves.

    Raises:
        ValueError: where there are not as many entries as images.
    """
    if num_images == 1 and len(boxes) and np.ndim(boxes[0]) == 1:
        boxes = [boxes]
    if len(boxes) != num_images:
        raise ValueError(
            f'bboxes has {len(boxes)} entries for {num_images} images: give one '
            '(n, 4) array of boxes per image'
        )
    return boxes
