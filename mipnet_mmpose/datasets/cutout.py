"""A person cut out of one image, to be pasted into another."""

from typing import Callable, NamedTuple, Optional

import cv2
import numpy as np
from mmpose.structures.keypoint import flip_keypoints

from .masks import MIN_SHARE, is_of_size, person_mask
from .siblings import is_labelled

# what a sample has of its person; all else is of its image or dataset
OF_PERSON = ('bbox', 'bbox_score', 'keypoints', 'keypoints_visible', 'num_keypoints')
OF_PERSON += ('area', 'category_id', 'iscrowd', 'segmentation', 'id')
# of the box's size that a keypoint may lie outside of the mask; in COCO 0.05 % of the
# visible ones lie further, and of the hidden ones, which nothing hides any more, 77 %
MARGIN = 0.02


class Placed(NamedTuple):
    """A person at a new place."""

    alpha: np.ndarray  # float32 in 0 … 1, of a region of the new image
    region: tuple[slice, slice]  # rows and columns
    resize: Callable[[np.ndarray], np.ndarray]  # a cutout's pixels to the region's
    person: dict  # what a sample has of its person


class Cutout:
    """What of a person is inside of both its mask and its box.

    A keypoint outside of it is not labelled any more. ``person`` is a sample of a stock
    dataset; ``flip`` mirrors it, by its ``flip_indices``.

    Attributes:
        mask (np.ndarray | None): float32 0 or 1, (h, w); None where there is none that
            covers at least a tenth of the box.
    """

    def __init__(self, person: dict, flip: bool):
        self.person, self.flip = person, flip
        box = person['bbox'][0]
        start = np.maximum(box[:2].astype(int), 0)
        size = np.ceil(box[2:]).astype(int) + 1 - start
        self.mask = None
        self.region = tuple(slice(s, s + n) for s, n in zip(start, size))[::-1]
        mask = person_mask(person, tuple(size[::-1]), tuple(start))
        if mask is None or mask.sum() < MIN_SHARE * (box[2:] - box[:2]).prod():
            return
        origin = start.astype(np.float32)
        self.keypoints = person['keypoints'] - origin
        self.visible = person['keypoints_visible']
        distance = cv2.distanceTransform(1 - mask.astype(np.uint8), cv2.DIST_L2, 3)
        is_cut = at_keypoints(distance, self.keypoints, outside=np.inf) <= max(
            MARGIN * np.sqrt(mask.size), 1
        )
        self.visible = self.visible * _like(is_cut, self.visible)
        self.box = box.reshape(2, 2) - origin
        self.mask = mask.astype(np.float32)
        if flip:
            self.mask = np.ascontiguousarray(self.mask[:, ::-1])
            self.keypoints, self.visible = flip_keypoints(
                self.keypoints, self.visible, tuple(size), person['flip_indices']
            )
            self.box[:, 0] = size[0] - self.box[::-1, 0]

    def place(
        self, factor: float, corner: np.ndarray, shape: tuple[int, int]
    ) -> Optional[Placed]:
        """Scale the box of the person and put its left and top at a corner.

        That is in pixels of another image, whose height and width are given. None
        without a mask, or where hardly anything of it is inside of the image.
        """
        if self.mask is None:
            return None
        cut = np.array(self.mask.shape[::-1])
        # whole pixels, so the scale differs a little between the axes
        size = np.maximum(np.round(cut * factor), 1).astype(int)
        scale = (size / cut).astype(np.float32)
        place = np.round(corner - self.box[0] * scale).astype(int)
        start = np.maximum(place, 0)
        end = np.minimum(place + size, (shape[1], shape[0]))
        if (start >= end).any():
            return None
        part = tuple(slice(a, b) for a, b in zip(start - place, end - place))[::-1]
        region = tuple(slice(a, b) for a, b in zip(start, end))[::-1]
        method = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR

        def resize(pixels):
            return cv2.resize(pixels, size, interpolation=method)[part]

        alpha = resize(self.mask)
        box = (self.box * scale + place).clip(0, [shape[1] - 1, shape[0] - 1])
        if (alpha > 0.5).sum() < MIN_SHARE * (box[1] - box[0]).prod():
            return None
        keypoints = (self.keypoints + 0.5) * scale - 0.5 + place
        inside = ((keypoints >= 0) & (keypoints < (shape[1], shape[0]))).all(axis=2)
        visible = self.visible * _like(inside, self.visible)
        person = {key: self.person[key] for key in OF_PERSON if key in self.person}
        person.update(
            bbox=box.reshape(1, 4).astype(np.float32),
            keypoints=keypoints.astype(np.float32),
            keypoints_visible=visible,
            num_keypoints=int(is_labelled(visible).sum()),
            segmentation=None,  # that of the image it comes from
        )
        if 'area' in self.person:
            person['area'] = self.person['area'] * factor**2
        return Placed(alpha, region, resize, person)

    def paste(
        self, image: np.ndarray, own: np.ndarray, placed: Placed
    ) -> Optional[np.ndarray]:
        """A copy of an image (H, W, ...) with the person of the image ``own`` in it.

        None where that has another size than the person's annotation says.
        """
        picture, is_of = own[self.region], is_of_size(self.person, own.shape[:2])
        if picture.shape[:2] != self.mask.shape or not is_of:
            return None
        picture = np.ascontiguousarray(picture[:, ::-1] if self.flip else picture)
        picture = placed.resize(picture).astype(np.float32)
        image = image.copy()
        behind = image[placed.region]
        alpha = _like(placed.alpha, behind)
        blended = behind + (picture - behind) * alpha
        behind[:] = blended.round() if image.dtype == np.uint8 else blended
        return image


def at_keypoints(
    array: np.ndarray, keypoints: np.ndarray, outside: float
) -> np.ndarray:
    """The pixels (..., K) of an image (H, W) at keypoints (..., K, 2)."""
    height, width = array.shape
    finite = np.nan_to_num(keypoints, nan=-1)
    x, y = np.moveaxis(finite.round().clip(-1, max(array.shape)).astype(int), -1, 0)
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height)
    found = array[y.clip(0, height - 1), x.clip(0, width - 1)]
    return np.where(inside, found, outside)


def _like(array: np.ndarray, other: np.ndarray) -> np.ndarray:
    """With axes of length 1 behind its own, as many as the other array has."""
    return array.reshape(array.shape + (1,) * (other.ndim - array.ndim))
