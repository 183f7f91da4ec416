"""Person boxes of a file, and which image each belongs to; it is never guessed."""

import json
import os
import re
import warnings
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Union

import mmcv
import numpy as np
from mmpose.structures.bbox import bbox_xywh2xyxy


def boxes_from_file(
    path: Union[str, Path], images: Union[Sequence[str], mmcv.VideoReader]
) -> tuple[list[Any], list[np.ndarray], Any]:
    """Read COCO annotations or detections (MMPose's ``bbox_file``).

    In annotations an image is found by its ``file_name``, in detections by the number
    in its name, which is the ``image_id``. In a video that is the number of the frame,
    the first is 0. Regions (``iscrowd``) are no boxes. Of several categories ``person``
    is taken, in detections 1.

    Returns:
        tuple: for each image or frame its id in the file, ``None`` if it is not there,
        and its boxes as left, top, right, bottom, score in pixels, (n, 5); and the
        id of their category, 1 where the file has none.

    Raises:
        ValueError: where the file cannot be read, or it cannot be told which image or
            which category is meant.
    """
    try:
        content = json.loads(Path(path).read_bytes())
        if isinstance(content, list):
            content = dict(annotations=content)
        categories = content.get('categories') or ()
        categories = {entry['id']: entry['name'] for entry in categories}
        boxes, category = _boxes_by_id(content['annotations'], categories)
        if isinstance(images, mmcv.VideoReader):
            count = images.frame_cnt
            if count <= 0:  # what a browser records does not say
                count = max((int(key) + 1 for key in boxes), default=0)
            images = [f'frame {i}' for i in range(count)]
            content.pop('images', None)
        if 'images' in content:
            names = {image['id']: image['file_name'] for image in content['images']}
            there, ids = list(names.values()), _ids_by_name(images, names)
        else:
            there = [f'image_id {key}' for key in boxes]
            ids = _ids_by_number([Path(image).stem for image in images], boxes)
        known = [key for key in ids if key is not None]
        if there and (not known or len(set(known)) < len(known)):
            raise ValueError(
                f'which boxes are those of {", ".join(map(str, images[:3]))}? There '
                f'are {", ".join(there[:3])}, ... Give annotations with the file_name '
                'of each image, or detections whose image_id is the one number in its '
                'name'
            )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = f'there is no {error}' if isinstance(error, KeyError) else error
        raise ValueError(f'{path}: {what}') from error
    if None in ids:
        lost = f'{path} has nothing of {ids.count(None)} of {len(ids)} images'
        warnings.warn(lost, stacklevel=2)
    return ids, [boxes.get(key, np.zeros((0, 5))) for key in ids], category


def _boxes_by_id(entries: list[dict], names: dict) -> tuple[dict, Any]:
    entries = [entry for entry in entries if not entry.get('iscrowd')]
    kinds = {entry.get('category_id', 1) for entry in entries} or {1}
    if len(kinds) > 1:
        people = {k for k in kinds if names.get(k) == 'person' or not names and k == 1}
        if len(people) != 1:
            raise ValueError(f'which category is a person: {names or kinds}?')
        kinds = people
        entries = [e for e in entries if e.get('category_id', 1) in people]
    boxes: dict[Any, list] = {}
    for i, entry in enumerate(entries):
        box = np.ravel(entry['bbox']).astype(np.float64)
        row = [*box, float(entry.get('score', 1))]
        if len(row) != 5 or not np.isfinite(row).all():
            raise ValueError(f'entry {i} has bbox and score {row}, not 5 numbers')
        boxes.setdefault(entry['image_id'], []).append(row)
    by_id = {key: bbox_xywh2xyxy(np.array(rows)) for key, rows in boxes.items()}
    return by_id, kinds.pop()


def _parts(name: str) -> tuple[str, ...]:
    """A path in parts, as any system writes it; the case of a suffix is nothing."""
    stem, suffix = os.path.splitext(str(name).replace('\\', '/'))
    return tuple(p for p in f'{stem}{suffix.lower()}'.split('/') if p not in ('', '.'))


def _ids_by_name(images: Sequence[str], names: dict[Any, str]) -> list[Any]:
    """The id of each image by its whole name; by base names where none is found so."""
    paths = [_parts(os.path.abspath(image)) for image in images]
    for part in (slice(None), slice(-1, None)):
        keys = defaultdict(list)
        for key, name in names.items():
            keys[_parts(name)[part]].append(key)
        found: list[list] = []
        for path in paths:  # the longest name first
            ends = (path[i:] for i in range(len(path)))
            found.append(next((keys[end] for end in ends if end in keys), []))
        if any(found):
            break
    for image, fitting in zip(images, found):
        if len(fitting) > 1:
            a, b = (names[key] for key in fitting[:2])
            raise ValueError(f'is {image} {a} or {b}? Keep their folders')
    return [fitting[0] if fitting else None for fitting in found]


def _ids_by_number(stems: Sequence[str], keys: Iterable) -> list[Any]:
    """The id of each image by the one number in the names that goes with the ids."""
    by_number = {int(key): key for key in keys if str(key).isdigit()}
    columns = [[int(n) for n in re.findall(r'\d+', stem)] for stem in stems]
    fitting = []
    for values in zip(*columns) if len({len(c) for c in columns}) == 1 else ():
        # 0, 1, 2 beside 1, 2, 3 is another numbering
        fits = set(by_number) <= set(values) or set(values) <= set(by_number)
        if fits and len(set(values)) == len(values):
            fitting.append([by_number.get(value) for value in values])
    return fitting[0] if len(fitting) == 1 else [None] * len(stems)
