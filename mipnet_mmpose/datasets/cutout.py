"""A person cut out of one image, to be pasted into another."""

from typing import NamedTuple, Optional, Tuple

import cv2
import numpy as np
from mmpose.structures.keypoint import flip_keypoints

from .masks import person_mask

# what a sample has of its person; all else is of its image or dataset
OF_PERSON = ('bbox', 'bbox_score', 'keypoints', 'keypoints_visible', 'num_keypoints')
OF_PERSON += ('area', 'category_id', 'iscrowd', 'segmentation', 'id')


class Cutout(NamedTuple):
    """A person cut out of one image and placed in another.

    Shape:
        picture ``(h, w, 3)`` and alpha ``(h, w)``, float32 in 0 … 1, of the rows and
        columns ``region`` of the image; person: what a sample has of its person.
    """

    picture: np.ndarray
    alpha: np.ndarray
    region: Tuple[slice, slice]
    person: dict


def cut_out(
    donor: dict,
    image: np.ndarray,
    factor: float,
    corner: np.ndarray,
    flip: bool,
    shape: Tuple[int, int],
) -> Optional[Cutout]:
    """Scale the box of a person and put it elsewhere.

    Args:
        donor (dict): Sample of a stock dataset, with a mask.
        image (np.ndarray): Its image, (H, W, 3).
        factor (float): The box is as many times as large in its new place.
        corner (np.ndarray): Left and top of the box there, in pixels.
        flip (bool): Mirror the person.
        shape (tuple[int, int]): Height and width of the image it comes into.

    Returns:
        Cutout | None: None where nothing of it is inside of that image.
    """
    mask = person_mask(donor, image.shape[:2])
    left, top, right, bottom = donor['bbox'][0]
    columns = slice(int(left), int(np.ceil(right)) + 1)
    rows = slice(int(top), int(np.ceil(bottom)) + 1)
    picture, alpha = image[rows, columns], mask[rows, columns].astype(np.float32)
    origin = np.array([columns.start, rows.start], np.float32)
    keypoints = donor['keypoints'] - origin
    visible = donor['keypoints_visible']
    box = donor['bbox'][0].reshape(2, 2) - origin
    height, width = alpha.shape
    if flip:
        picture, alpha = picture[:, ::-1], alpha[:, ::-1]
        keypoints, visible = flip_keypoints(
            keypoints, visible, (width, height), donor['flip_indices']
        )
        box[:, 0] = width - box[::-1, 0]

    # whole pixels, so the scale differs a little between the axes
    size = np.maximum(np.round(np.array([width, height]) * factor), 1).astype(int)
    scale = (size / [width, height]).astype(np.float32)
    place = np.round(corner - box[0] * scale).astype(int)
    shrink = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    picture = cv2.resize(np.ascontiguousarray(picture), size, interpolation=shrink)
    alpha = cv2.resize(np.ascontiguousarray(alpha), size, interpolation=shrink)
    keypoints = (keypoints + 0.5) * scale - 0.5 + place
    box = (box * scale + place).clip(0, [shape[1] - 1, shape[0] - 1])

    inside = ((keypoints >= 0) & (keypoints < (shape[1], shape[0]))).all(axis=2)
    visible = visible * inside.reshape(inside.shape + (1,) * (visible.ndim - 2))
    start = np.maximum(place, 0)
    end = np.minimum(place + size, (shape[1], shape[0]))
    if (start >= end).any():
        return None
    part = tuple(slice(a, b) for a, b in zip(start - place, end - place))[::-1]
    person = {key: donor[key] for key in OF_PERSON if key in donor}
    person.update(
        bbox=box.reshape(1, 4).astype(np.float32),
        keypoints=keypoints.astype(np.float32),
        keypoints_visible=visible,
        num_keypoints=int((visible > 0).sum()),
        segmentation=None,  # that of the image it comes from
    )
    if 'area' in donor:
        person['area'] = donor['area'] * factor**2
    region = tuple(slice(a, b) for a, b in zip(start, end))[::-1]
    return Cutout(picture[part].astype(np.float32), alpha[part], region, person)


def blend(image: np.ndarray, cutout: Cutout) -> np.ndarray:
    """A copy of an image, (H, W, 3), with somebody in it."""
    image = image.copy()
    behind = image[cutout.region]
    blended = behind + (cutout.picture - behind) * cutout.alpha[..., None]
    behind[:] = blended.round() if image.dtype == np.uint8 else blended
    return image
