"""Masks of persons in COCO's annotations: polygons, and both kinds of RLE.

Anything else (an empty list, polygons of one or two points, a list of RLE) is no mask,
and a crowd region has that of several persons.
"""

from typing import Optional

import numpy as np
from pycocotools import mask as coco_mask

# of its box that a mask must cover; of 1,479 persons of COCO the least is 0.156
MIN_SHARE = 0.1


def mask_share(person: dict, box: np.ndarray) -> float:
    """Share of a box that a mask covers, at most: told without decoding it.

    Args:
        person (dict): A sample of a stock dataset, or an annotation, with
            ``segmentation`` as COCO has it.
        box (np.ndarray): Left, top, right, bottom in pixels, (4, ).

    Returns:
        float: NaN without a segmentation, 0 where it is not a mask.
    """
    segments = person.get('segmentation')
    if not segments or person.get('iscrowd'):
        return np.nan
    extent = np.maximum(box[2:] - box[:2], 0)
    if isinstance(segments, dict):
        rle = _compressed(segments)
        if rle is None:
            return 0.0
        left, top, width, height = coco_mask.toBbox(rle)
        there = [left, top, left + width, top + height]
        inside = np.minimum(there[2:], box[2:]) - np.maximum(there[:2], box[:2])
        pixels = min(coco_mask.area(rle), np.maximum(inside, 0).prod())
    else:
        pixels = sum(_area(p.clip(box[:2], box[2:])) for p in _polygons(segments))
    return float(pixels / max(extent.prod(), 1))


def person_mask(
    person: dict, shape: tuple[int, int], corner: tuple[int, int] = (0, 0)
) -> Optional[np.ndarray]:
    """The pixels of a person in a window of its image.

    Args:
        person (dict): As for :func:`mask_share`.
        shape (tuple[int, int]): Height and width of the window.
        corner (tuple[int, int]): Its left and top. Defaults to those of the image.

    Returns:
        np.ndarray | None: bool, (H, W); None where the person has no mask, or an RLE
        that does not hold the window.
    """
    segments = person.get('segmentation')
    if not segments or person.get('iscrowd'):
        return None
    (height, width), (left, top) = shape, corner
    if isinstance(segments, dict):
        rle = _compressed(segments)
        if rle is None:
            return None
        try:
            mask = coco_mask.decode(rle)
        except ValueError:  # runs that are not of its size
            return None
        mask = mask[top : top + height, left : left + width]
        return mask.astype(bool) if mask.shape == (height, width) else None
    polygons = [(p - corner).ravel().tolist() for p in _polygons(segments)]
    if not polygons:
        return None
    rle = coco_mask.merge(coco_mask.frPyObjects(polygons, height, width))
    return coco_mask.decode(rle).astype(bool)


def is_of_size(person: dict, shape: tuple[int, int]) -> bool:
    """Whether a mask can be of an image of this height and width; a polygon can."""
    segments = person.get('segmentation')
    return not isinstance(segments, dict) or tuple(segments['size']) == tuple(shape)


def _polygons(segments: list) -> list[np.ndarray]:
    """Those of three points or more, (V, 2) each."""
    polygons = []
    for segment in segments if isinstance(segments, (list, tuple)) else ():
        try:
            points = np.array(segment, float)
        except (TypeError, ValueError):
            continue
        if points.ndim == 1 and points.size >= 6 and points.size % 2 == 0:
            if np.isfinite(points).all():
                polygons.append(points.reshape(-1, 2))
    return polygons


def _compressed(segments: dict) -> Optional[dict]:
    try:
        if isinstance(segments['counts'], (str, bytes)):
            coco_mask.area(segments)
            return segments
        return coco_mask.frPyObjects(segments, *segments['size'])
    except (KeyError, TypeError, ValueError):
        return None


def _area(points: np.ndarray) -> float:
    """Of a polygon by its corners (V, 2), the shoelace formula."""
    x, y = np.concatenate([points, points[:1]]).T
    return abs(x[1:] @ y[:-1] - y[1:] @ x[:-1]) / 2
