"""Person boxes of a file, and which image each belongs to.

The file is COCO annotations, or a list of detections as MMPose's ``bbox_file``. Which
image is meant is never guessed from the order of files.
"""

import os
import re
import unicodedata
import warnings
from pathlib import PurePosixPath
from typing import Any, Dict, List, NamedTuple, Sequence, Union

import numpy as np
from mmpose.structures.bbox import bbox_xywh2xyxy

from ..datasets.detection_file import check_detections
from ..datasets.json_file import load_json
from .images import VideoFrames


class FileBoxes(NamedTuple):
    """What a boxes file says of some images."""

    ids: List[Any]  # ids in the file by place of the image; None if it has none
    boxes: Dict[int, np.ndarray]  # x1, y1, x2, y2, score in pixels by place, (n, 5)


def boxes_from_file(
    path: Union[str, os.PathLike],
    images: Union[Sequence[str], VideoFrames],
    category: Union[int, str, None] = None,
) -> FileBoxes:
    """Read a boxes file, and give each image its boxes.

    In annotations an image is found by its ``file_name``: by the whole of it, or else
    by a base name that is there once. In detections ``image_id`` is a number in the
    file name, the same one of all names, and each id is an image's. In a video it is
    the number of the frame, the first is 0. Regions (``iscrowd``) are no boxes.

    Args:
        path (str | PathLike): JSON file.
        images (Sequence[str] | VideoFrames): Paths of images, or a video.
        category (int | str, optional): Id or name of the category to take. Defaults to
            the one there is; of several to ``person``, in detections to 1.

    Returns:
        FileBoxes: by place of the image, or number of the frame.

    Raises:
        ValueError: where the file cannot be read, or it cannot be told which image or
            which category is meant.
    """
    content = load_json(path)
    names, categories, entries = {}, {}, content
    if isinstance(content, dict):
        entries = content.get('annotations')
        names = _by_id(content.get('images'), 'file_name', f'{path}: images')
        categories = _by_id(content.get('categories'), 'name', f'{path}: categories')
    entries = check_detections(
        entries, str(path), category=None, keys=('image_id', 'bbox')
    )
    persons = [entry for entry in entries if not entry.get('iscrowd')]
    _warn(path, len(entries) - len(persons), 'regions (iscrowd) are left out')
    persons = _of_category(persons, categories, category, path)
    rows: Dict[Any, list] = {}
    for entry in persons:
        box = [*np.ravel(entry['bbox'])[:4], entry.get('score', 1)]
        rows.setdefault(entry['image_id'], []).append(np.array(box, dtype=np.float32))
    boxes = {key: bbox_xywh2xyxy(np.array(value)) for key, value in rows.items()}
    if isinstance(images, VideoFrames):
        return _by_frame(boxes, images, path)
    if names:
        ids = _ids_by_name(list(images), names, path)
    else:
        ids = _ids_by_number(list(images), list(boxes), path)
    known = set(ids)
    _warn(path, ids.count(None), 'images are not in it, nobody is looked for there')
    lost = [key for key in boxes if key not in known]
    _warn(path, len(lost), 'of its images are not among those given')
    found = {i: boxes[key] for i, key in enumerate(ids) if key in boxes}
    return FileBoxes(ids, found)


def _warn(path: Any, count: int, what: str) -> None:
    if count:
        warnings.warn(f'{path}: {count} {what}', stacklevel=3)


def _by_id(entries: Any, key: str, where: str) -> Dict[Any, Any]:
    found: Dict[Any, Any] = {}
    for entry in entries or ():
        if not isinstance(entry, dict) or not {'id', key} <= set(entry):
            raise ValueError(f'{where}: {str(entry)[:80]} has no id or no {key}')
        if entry['id'] in found:
            raise ValueError(f'{where}: the id {entry["id"]!r} is there twice')
        found[entry['id']] = entry[key]
    return found


def _of_category(
    entries: List[dict], names: Dict[Any, str], wanted: Any, path: Any
) -> List[dict]:
    given = [entry.get('category_id') for entry in entries]
    kinds = sorted(set(given), key=str)
    if wanted is None and len(kinds) > 1:
        wanted = 'person' if names else 1
    elif wanted is None:
        return entries
    chosen = [k for k in kinds if str(wanted) in (str(k), str(names.get(k)))]
    if len(chosen) != 1:
        there = ', '.join(f'{kind} ({names.get(kind, "no name")})' for kind in kinds)
        raise ValueError(
            f'{path}: which category is a person? There are {there}: name one'
        )
    kept = [e for e, kind in zip(entries, given) if kind == chosen[0]]
    what = f'boxes of other categories than {chosen[0]} are left out'
    _warn(path, len(entries) - len(kept), what)
    return kept


def _by_frame(boxes: Dict[Any, Any], video: VideoFrames, path: Any) -> FileBoxes:
    frames = {}
    for key in boxes:
        if not re.fullmatch(r'\d+(\.0)?', str(key)):
            raise ValueError(f'{path}: image_id {key!r} is no number of a frame')
        frames[int(float(key))] = boxes[key]
    last = max(frames, default=0)
    if len(video) and last >= len(video):
        raise ValueError(
            f'{path}: image_id goes to {last}, the {len(video)} frames of {video.path} '
            f'are 0 ... {len(video) - 1}. Number them from 0'
        )
    return FileBoxes(list(range(len(video))), frames)


def _ids_by_name(images: List[str], names: Dict[Any, str], path: Any) -> List[Any]:
    """By whole names if one is found so; only else by base names."""
    wholes = [_parts(os.path.abspath(image)) for image in images]
    by_base: Dict[str, list] = {}
    for key, name in names.items():
        by_base.setdefault(_parts(name)[-1], []).append((_parts(name), key))
    ends = [
        [(n, key) for n, key in by_base.get(whole[-1], ()) if whole[-len(n) :] == n]
        for whole in wholes
    ]
    in_folders = any(len(n) > 1 for found in ends for n, _ in found)
    ids = []
    for image, whole, found in zip(images, wholes, ends):
        if found:  # the longest of them
            length = max(len(n) for n, _ in found)
            found = [(n, key) for n, key in found if len(n) == length]
        elif not in_folders:
            found = by_base.get(whole[-1], [])
        if len(found) > 1:
            name = os.path.basename(image)
            exact = [f for f in found if str(names[f[1]]).endswith(name)]
            found = exact if len(exact) == 1 else found
        if len(found) > 1:
            (_, a), (_, b) = found[:2]
            raise ValueError(
                f'{path}: is {image} {names[a]} (id {a!r}) or {names[b]} (id {b!r})? '
                'Keep the folders of their names'
            )
        ids.append(found[0][1] if found else None)
    _check_once(images, ids, path)
    if images and ids.count(None) == len(ids):
        raise _unknown(images, [f'{n} (id {k!r})' for k, n in names.items()], path)
    return ids


def _parts(name: str) -> tuple:
    """A path in parts, as every system writes it; the case of a suffix is nothing."""
    name = unicodedata.normalize('NFC', str(name)).replace('\\', '/')
    name = os.path.normpath(name).replace(os.sep, '/')
    path = PurePosixPath(name)
    return path.with_suffix(path.suffix.lower()).parts if path.name else (name,)


def _ids_by_number(images: List[str], keys: List[Any], path: Any) -> List[Any]:
    """By the one number in the names that goes with the ids."""
    numbers = [
        re.findall(r'\d+', _parts(image)[-1].rpartition('.')[0]) for image in images
    ]
    by_number = {int(k): k for k in keys if re.fullmatch(r'\d+', str(k))}
    if not keys:
        return [None] * len(images)
    fitting = []
    if len(by_number) == len(keys) and len({len(found) for found in numbers}) == 1:
        for column in zip(*numbers):
            values = [int(value) for value in column]
            distinct = len(set(values)) == len(values)
            # an id that is no image's: 0, 1, 2 beside 1, 2, 3 is another numbering
            if distinct and set(by_number) <= set(values):
                fitting.append([by_number.get(value) for value in values])
    if len(fitting) != 1:
        raise _unknown(images, [repr(key) for key in keys], path)
    return fitting[0]


def _check_once(images: List[str], ids: List[Any], path: Any) -> None:
    first: Dict[Any, str] = {}
    for image, key in zip(images, ids):
        if key is not None and first.setdefault(key, image) != image:
            raise ValueError(
                f'{path}: are the boxes of id {key!r} those of {first[key]} or of '
                f'{image}? Give the folders in file_name too'
            )


def _unknown(images: List[str], ids: List[str], path: Any) -> ValueError:
    shown, known = (', '.join(map(str, names[:2])) for names in (images, ids))
    return ValueError(
        f'{path}: which of its images is which? The images are {shown} ..., there it '
        f'has {known} .... Give COCO annotations whose file_name are those of the '
        'images, or detections of these images alone whose image_id is the number in '
        'their names'
    )
