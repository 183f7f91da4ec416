"""The faults of one entry of a file: severity and what entries like it have.

Entries with the same fault become one finding of ``mipnet check_data``.
"""

import os
from collections.abc import Iterator
from typing import Any, Optional

import numpy as np
from mmengine.dataset import BaseDataset
from mmpose.datasets.datasets.base import BaseCocoStyleDataset
from PIL import Image

from .masks import MIN_SHARE, is_of_size, mask_share

ERROR, WARNING, NOTE = 'ERROR', 'WARNING', 'NOTE'
EXIF_ORIENTATION = 274
Fault = tuple[str, str]


def is_labelled(person: dict, field: str = 'keypoints') -> bool:
    """Whether an annotation has a keypoint that is labelled."""
    return any(v > 0 for v in np.ravel(person.get(field) or [])[2::3])


def key_faults(entry: dict, name: str, keys: dict, times: dict) -> Iterator[Fault]:
    """Keys of an image, annotation or category; ``times`` counts the ids."""
    for key, types in keys.items():
        if type(entry.get(key)) not in types:
            names = ' or '.join(kind.__name__ for kind in types)
            yield ERROR, f'{name} have no {key} that is {names}'
    for key, size in (('bbox', 4), ('keypoints', 3)):  # of a category they are names
        if (
            name == 'annotations'
            and key in entry
            and not _are_numbers(entry[key], size)
        ):
            what = ' a keypoint' * (size == 3)
            yield ERROR, f'{name} have {key} that is not {size} finite numbers{what}'
    if times[repr(entry.get('id'))] > 1:
        yield ERROR, f'{name} share their id with another one: each needs its own'


def parse_faults(
    person: dict, image: Optional[dict], dataset: BaseCocoStyleDataset
) -> Iterator[Fault]:
    """What the dataset's own code fails at."""
    if image is None:
        return
    try:
        person.setdefault('iscrowd', 0)  # as xtcocotools does
        image = dict(image, img_id=image['id'], img_path=image['file_name'])
        info = dataset.parse_data_info(dict(raw_ann_info=person, raw_img_info=image))
        if info:
            dataset._is_valid_instance(info)
    except Exception as error:  # whatever that code raises
        kind, what = type(dataset).__name__, f'{type(error).__name__}: {error}'
        yield ERROR, f'annotations cannot be read by {kind}, {what}'


def _are_numbers(value: Any, size: int) -> bool:
    """Whether these are finite: four of a box, or three for each keypoint."""
    try:
        values = np.array(value, float).ravel()
    except (TypeError, ValueError):
        return False
    whole = values.size == 4 if size == 4 else values.size % 3 == 0
    return whole and bool(np.isfinite(values).all())


def left_out_faults(person: dict, image: Optional[dict], ids: set) -> Iterator[Fault]:
    """Why MMPose leaves an annotation out; if not, whether its mask is one."""
    if image is None:
        yield WARNING, 'annotations are left out: image_id is the id of no image'
    elif person['id'] not in ids:
        yield WARNING, f'persons are left out: {_why_left_out(person, image)}'
    elif person.get('segmentation'):
        x, y, w, h = np.ravel(person['bbox'])
        segments, shape = person['segmentation'], (image['height'], image['width'])
        share = mask_share(person, np.array([x, y, x + w, y + h], float))
        is_list = isinstance(segments, list)
        corners = len(segments[0]) // 2 if is_list and len(segments) == 1 else 0
        what = None
        if share >= 0.95 and corners in (4, 5):
            what = 'is the box as a polygon: pasting would paste all of the box'
        elif share > 0 and not is_of_size(person, shape):
            what = 'is of another size than the image: nobody to paste'
        elif share < MIN_SHARE:
            what = f'is no mask of {MIN_SHARE:.0%} of the box: nobody to paste'
        if what:
            yield WARNING, f'persons have a segmentation that {what}'


def _why_left_out(person: dict, image: dict) -> str:
    for key in ('bbox', 'keypoints'):
        if key not in person:
            return f'they have no {key}'
    if person.get('iscrowd'):
        return 'iscrowd is 1'
    keypoints = np.reshape(person['keypoints'], (-1, 3))
    if not (keypoints[:, 2] > 0).any():
        return 'no keypoint is labelled'
    if person.get('num_keypoints') == 0:
        return 'num_keypoints is 0, though keypoints are labelled'
    x, y, w, h = np.ravel(person['bbox'])
    if not (w > 0 and h > 0):
        return 'bbox has no area'
    right, bottom = image['width'] - 1, image['height'] - 1
    if min(x + w, right) <= max(x, 0) or min(y + h, bottom) <= max(y, 0):
        return 'bbox lies outside of the image, by its width and height'
    if keypoints[:, :2].max() <= 0:
        return 'no keypoint has coordinates above 0'
    return 'by other code or settings of the dataset'


def box_faults(box: dict, images: set) -> Iterator[Fault]:
    """Of a detection; ``images`` are the ids of ``ann_file``."""
    if 'category_id' not in box:
        yield ERROR, 'detections have no category_id'
    if box.get('category_id') != 1:
        return
    if type(box.get('image_id')) not in (int, float) or box['image_id'] not in images:
        yield ERROR, 'detections have an image_id that ann_file lacks'
    score, sides = box.get('score'), box.get('bbox')
    if not _are_numbers([score] * 4, 4):
        yield ERROR, 'detections have no score that is a number'
    if not isinstance(sides, list) or not _are_numbers(sides[:4], 4):
        yield ERROR, 'detections have no bbox of 4 finite numbers'
    elif min(map(float, sides[2:4])) < 0:
        yield ERROR, 'detections have a bbox that is not left, top, width, height'
    elif not min(map(float, sides[2:4])):
        yield WARNING, 'detections have a bbox without an area'


def image_faults(
    file: str, size: Optional[tuple], dataset: BaseDataset, turns: bool
) -> Iterator[Fault]:
    """``size`` is width and height in the annotation file."""
    folders = [dataset.data_root, *dataset.data_prefix.values()]
    folders = [os.path.join(os.path.abspath(f), '') for f in folders if f]
    if '://' in file:
        return
    # an annotation file may name any file of the machine: those are not opened
    if folders and not os.path.abspath(file).startswith(tuple(folders)):
        yield ERROR, 'images lie outside of data_root and data_prefix'
        return
    if not os.path.isfile(file):
        yield ERROR, 'images are missing'
        return
    try:
        with Image.open(file) as image:
            found, exif = image.size, {}
            if image.format != 'PNG' or 'exif' in image.info:  # else it is decoded
                exif = image.getexif()
    except Exception as error:  # whatever Pillow raises
        yield ERROR, f'images cannot be read ({type(error).__name__})'
        return
    turn = exif.get(EXIF_ORIENTATION, 1) if turns else 1
    found = found[::-1] if turn in (5, 6, 7, 8) else found
    if size and tuple(size) != found:
        by = ', turned as EXIF says,' if turn > 1 else ''
        yield ERROR, f'images{by} are not of the width and height in ann_file'
    elif turn > 1:
        yield WARNING, 'images are turned by EXIF: they must be annotated as turned'
