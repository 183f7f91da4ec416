"""Person boxes as the APIs take them."""

from typing import Any, Callable, Mapping, NamedTuple, Optional, Tuple

import numpy as np

LIMIT = 1e6  # pixels


class Boxes(NamedTuple):
    """The usable boxes of one image."""

    xyxy: np.ndarray  # float32, in pixels of the image, (n, 4)
    scores: np.ndarray  # float32, (n, )
    indices: np.ndarray  # their places among the boxes given, (n, )


def check_boxes(boxes: Any, size: Tuple[int, int]) -> Boxes:
    """Keep the boxes that hold a part of the image.

    Args:
        boxes (array-like): (n, 4) as left, top, right, bottom in pixels, or (n, 5)
            with a score; without it the score is 1.
        size (tuple[int, int]): height and width of the image.

    Returns:
        Boxes: without those that are not finite, empty or outside the image.

    Raises:
        ValueError: where the shape is another one.
    """
    boxes = np.asarray(boxes, dtype=np.float64)
    if not boxes.size:
        boxes = boxes.reshape(0, 4)
    if boxes.ndim != 2 or boxes.shape[1] not in (4, 5):
        raise ValueError(
            'the boxes of an image are (n, 4) as left, top, right, bottom, or (n, 5) '
            f'with a score, got shape {boxes.shape}'
        )
    if boxes.shape[1] == 4:
        boxes = np.concatenate([boxes, np.ones((len(boxes), 1))], axis=1)
    left, top, right, bottom = boxes[:, :4].T
    height, width = size
    with np.errstate(invalid='ignore'):
        usable = (np.abs(boxes) < LIMIT).all(axis=1)  # false for NaN
        usable &= (left < right) & (top < bottom)
        usable &= (left < width) & (right > 0) & (top < height) & (bottom > 0)
    indices = np.flatnonzero(usable)
    kept = boxes[indices].astype(np.float32)
    return Boxes(kept[:, :4], kept[:, 4], indices)


def whole_image(size: Tuple[int, int]) -> np.ndarray:
    """The image as a box, (1, 4)."""
    height, width = size
    return np.array([[0, 0, width, height]], dtype=np.float32)


def boxes_per_image(boxes: Any, num_images: Optional[int]) -> Callable[[int], Any]:
    """Give each image its boxes.

    Args:
        boxes (Sequence | Mapping | None): One (n, 4) or (n, 5) for each image, or
            for some by their numbers (the others have none); for a single image
            also the boxes themselves.
        num_images (int, optional): How many images there are, where known.

    Returns:
        Callable: boxes of an image by its number; ``None`` where ``boxes`` is.

    Raises:
        ValueError: where there are not as many entries as images.
    """
    if boxes is None:
        return lambda index: None
    if isinstance(boxes, Mapping):
        return lambda index: boxes.get(index, [])
    if num_images == 1 and len(boxes) and all(_is_box(box) for box in boxes):
        boxes = [boxes]

    def of_image(index: int) -> Any:
        if index >= len(boxes):
            raise ValueError(
                f'bboxes has {len(boxes)} entries, there are more images: give one '
                '(n, 4) array of boxes per image'
            )
        return boxes[index]

    if num_images is not None and len(boxes) != num_images:
        raise ValueError(
            f'bboxes has {len(boxes)} entries for {num_images} images: give one '
            '(n, 4) array of boxes per image'
        )
    return of_image


def _is_box(box: Any) -> bool:
    return np.ndim(box) == 1 and len(box) in (4, 5)
