"""Masks of persons in COCO's annotations: polygons, and both kinds of RLE."""

from typing import Optional, Tuple

import numpy as np
from xtcocotools import mask as coco_mask


def has_mask(person: dict) -> bool:
    """Whether a sample or annotation has a mask (crowd regions have, of several)."""
    return bool(person.get('segmentation')) and not person.get('iscrowd', 0)


def person_mask(person: dict, shape: Tuple[int, int]) -> Optional[np.ndarray]:
    """The pixels of a person.

    Args:
        person (dict): A sample of a stock dataset, or an annotation, with
            ``segmentation`` as COCO has it.
        shape (tuple[int, int]): Height and width of its image.

    Returns:
        np.ndarray | None: bool, (H, W); None where it has no mask.

    Raises:
        ValueError: naming the person, where the mask cannot be read.
    """
    if not has_mask(person):
        return None
    height, width = shape
    segments = person['segmentation']
    try:
        if isinstance(segments, dict):
            if isinstance(segments['counts'], list):
                segments = coco_mask.frPyObjects(segments, *segments['size'])
            mask = coco_mask.decode(segments)
        else:
            polygons = [polygon for polygon in segments if len(polygon) >= 6]
            if not polygons:
                return None
            rles = coco_mask.frPyObjects(polygons, height, width)
            mask = coco_mask.decode(coco_mask.merge(rles))
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f'the person with id {person.get("id")} has a segmentation that is neither '
            f'polygons nor RLE ({type(error).__name__}: {error})'
        ) from error
    if mask.shape != (height, width):
        raise ValueError(
            f'the person with id {person.get("id")} has a mask of {mask.shape} pixels '
            f'(height, width) in an image of {(height, width)}'
        )
    return mask.astype(bool)
