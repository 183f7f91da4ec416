"""Masks of persons in COCO's annotations: polygons, and both kinds of RLE.

Anything else (an empty list, polygons of one or two points, a list of RLE) is no mask,
and a crowd region has that of several persons.
"""

from typing import Optional

import cv2
import numpy as np
from pycocotools import mask as coco_mask

# of its box that a mask must cover; of 1,479 persons of COCO the least is 0.156
MIN_SHARE = 0.1


def mask_share(person: dict, box: np.ndarray) -> float:
    """Share of a box (4,) that a mask covers, at most: told without decoding it.

    ``person`` is a sample of a stock dataset, or an annotation of COCO's. It is NaN
    without a segmentation, and 0 where that is not a mask.
    """
    segments = person.get('segmentation')
    if not segments or person.get('iscrowd'):
        return np.nan
    if isinstance(segments, dict):
        rle = _compressed(segments)
        if rle is None:
            return 0.0
        corner, extent = np.split(coco_mask.toBbox(rle), 2)
        inside = np.minimum(corner + extent, box[2:]) - np.maximum(corner, box[:2])
        pixels = min(coco_mask.area(rle), inside.clip(0).prod())
    else:
        clipped = (p.clip(box[:2], box[2:]) for p in _polygons(segments))
        pixels = sum(cv2.contourArea(p.astype(np.float32)) for p in clipped)
    return float(pixels / max((box[2:] - box[:2]).clip(0).prod(), 1))


def person_mask(
    person: dict, shape: tuple[int, int], corner: tuple[int, int] = (0, 0)
) -> Optional[np.ndarray]:
    """The pixels of a person in a window of its image, bool (H, W).

    ``shape`` is the window's height and width, ``corner`` its left and top. None where
    the person has no mask, or an RLE that does not hold the window.
    """
    segments = person.get('segmentation')
    if not segments or person.get('iscrowd'):
        return None
    (height, width), (left, top) = shape, corner
    if isinstance(segments, dict):
        try:
            mask = coco_mask.decode(_compressed(segments))
        except (TypeError, ValueError):  # none, or runs that are not of its size
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


def mask_fault(person: dict, share: float, shape: tuple[int, int]) -> str:
    """What keeps a segmentation, of this share, from being a mask; else empty."""
    segments = person.get('segmentation')
    alone = isinstance(segments, list) and len(segments) == 1
    if share >= 0.95 and alone and len(segments[0]) in (8, 10):
        what = 'is the box as a polygon: pasting would paste all of the box'
    elif share > 0 and not is_of_size(person, shape):
        what = 'is of another size than the image: nobody to paste'
    elif share < MIN_SHARE:
        what = f'is no mask of {MIN_SHARE:.0%} of the box: nobody to paste'
    else:
        return ''
    return f'persons have a segmentation that {what}'


def _polygons(segments: list) -> list[np.ndarray]:
    """Those of three points or more, (V, 2) each."""
    polygons = []
    for segment in segments if isinstance(segments, (list, tuple)) else ():
        try:
            points = np.array(segment, float).reshape(-1, 2)
        except (TypeError, ValueError):
            continue
        if np.ndim(segment) == 1 and len(points) >= 3 and np.isfinite(points).all():
            polygons.append(points)
    return polygons


def _compressed(segments: dict) -> Optional[dict]:
    try:
        if isinstance(segments['counts'], (str, bytes)):
            coco_mask.area(segments)
            return segments
        return coco_mask.frPyObjects(segments, *segments['size'])
    except (KeyError, TypeError, ValueError):
        return None
