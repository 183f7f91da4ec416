"""Person boxes of a file, and which image each belongs to; it is never guessed."""

import json
import os
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Union

import mmcv
import numpy as np
from mmpose.structures.bbox import bbox_xywh2xyxy


def boxes_from_file(
    path: Union[str, Path], images: Union[Sequence[str], mmcv.VideoReader]
) -> tuple[list[Any], list[np.ndarray]]:
    """Read COCO annotations or detections (MMPose's ``bbox_file``).

    In annotations an image is found by its ``file_name``, in detections by the number
    in its name, which is the ``image_id``. In a video that is the number of the frame,
    the first is 0. Regions (``iscrowd``) are no boxes. Of several categories ``person``
    is taken, in detections 1.

    Returns:
        tuple: for each image or frame its id in the file, ``None`` if it is not there,
        and its boxes as left, top, right, bottom, score in pixels, (n, 5).

    Raises:
        ValueError: where the file cannot be read, or it cannot be told which image or
            which category is meant.
    """
    try:
        content = json.loads(Path(path).read_bytes())
        if isinstance(content, list):
            boxes, names = _boxes_by_id(content, {}), None
        else:
            categories = content.get('categories') or ()
            categories = {entry['id']: entry['name'] for entry in categories}
            boxes = _boxes_by_id(content['annotations'], categories)
            names = {image['id']: image['file_name'] for image in content['images']}
        if isinstance(images, mmcv.VideoReader):
            ids = list(range(max(images.frame_cnt, 0)))
            boxes = {int(key): value for key, value in boxes.items()}
            if not set(boxes) <= set(ids):
                last = len(ids) - 1
                raise ValueError(f'image_id {max(boxes)} is no frame of 0 ... {last}')
        else:
            ids = _find_ids(images, list(boxes), names)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        what = f'there is no {error}' if isinstance(error, KeyError) else error
        raise ValueError(f'{path}: {what}') from error
    if None in ids:
        lost = f'{path} has nothing of {ids.count(None)} of {len(ids)} images'
        warnings.warn(lost, stacklevel=2)
    return ids, [boxes.get(key, np.zeros((0, 5))) for key in ids]


def _boxes_by_id(entries: list[dict], names: dict) -> dict[Any, np.ndarray]:
    entries = [entry for entry in entries if not entry.get('iscrowd')]
    kinds = {entry.get('category_id') for entry in entries}
    if len(kinds) > 1:
        people = [k for k in kinds if names.get(k) == 'person' or not names and k == 1]
        if len(people) != 1:
            raise ValueError(f'which category is a person: {names or kinds}?')
        entries = [e for e in entries if e.get('category_id') == people[0]]
    boxes: dict[Any, list] = {}
    for i, entry in enumerate(entries):
        box = np.ravel(entry['bbox']).astype(np.float64)
        row = [*box, float(entry.get('score', 1))]
        if len(row) != 5 or not np.isfinite(row).all():
            raise ValueError(f'entry {i} has bbox and score {row}, not 5 numbers')
        boxes.setdefault(entry['image_id'], []).append(row)
    return {key: bbox_xywh2xyxy(np.array(rows)) for key, rows in boxes.items()}


def _find_ids(images: Sequence[str], keys: list[Any], names: Any) -> list[Any]:
    """The id of each image, or None; a ValueError where it cannot be told."""
    if names is None:
        ids = _ids_by_number([Path(image).stem for image in images], keys)
        there = [f'image_id {key}' for key in keys]
    else:
        ids = _ids_by_name([_parts(os.path.abspath(x)) for x in images], names)
        there = list(names.values())
    known = [key for key in ids if key is not None]
    if there and (not known or len(set(known)) < len(known)):
        raise ValueError(
            f'which boxes are those of {", ".join(map(str, images[:3]))}? There are '
            f'{", ".join(there[:3])}, ... Give annotations with the file_name of each '
            'image, or detections whose image_id is the one number in its name'
        )
    return ids


def _parts(name: str) -> tuple[str, ...]:
    """A path in parts, as any system writes it; the case of a suffix is nothing."""
    stem, suffix = os.path.splitext(str(name).replace('\\', '/'))
    return tuple(p for p in f'{stem}{suffix.lower()}'.split('/') if p not in ('', '.'))


def _ids_by_name(images: Sequence[tuple], names: dict[Any, str]) -> list[Any]:
    """By whole names; by base names only where no image is found so."""
    by_base: dict[str, list] = {}
    for key, name in names.items():
        parts = _parts(name)
        by_base.setdefault(parts[-1], []).append((len(parts), parts, key))
    found = []
    for image in images:
        whole = [n for n in by_base.get(image[-1], ()) if image[-n[0] :] == n[1]]
        found.append([n for n in whole if n[0] == max(whole)[0]])
    if not any(found):
        found = [by_base.get(image[-1], []) for image in images]
    for image, fitting in zip(images, found):
        if len(fitting) > 1:
            a, b = (names[key] for *_, key in fitting[:2])
            raise ValueError(f'is {"/".join(image)} {a} or {b}? Keep their folders')
    return [fitting[0][2] if fitting else None for fitting in found]


def _ids_by_number(stems: Sequence[str], keys: Sequence[Any]) -> list[Any]:
    """By the one number in the names that goes with the ids."""
    by_number = {int(key): key for key in keys if str(key).isdigit()}
    columns = [[int(n) for n in re.findall(r'\d+', stem)] for stem in stems]
    fitting = []
    for values in zip(*columns) if len({len(c) for c in columns}) == 1 else ():
        # 0, 1, 2 beside 1, 2, 3 is another numbering
        fits = set(by_number) <= set(values) or set(values) <= set(by_number)
        if fits and len(set(values)) == len(values):
            fitting.append([by_number.get(value) for value in values])
    return fitting[0] if len(fitting) == 1 else [None] * len(stems)
