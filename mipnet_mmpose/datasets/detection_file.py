"""What a file of detected boxes (``bbox_file``) must have.

It is a list in COCO's results format: ``image_id``, ``category_id``, ``bbox`` as left,
top, width and height in pixels, and ``score``.
"""

import logging
from typing import Any, Collection, List, NoReturn, Optional, Sequence

import numpy as np
from mmengine.logging import print_log

KEYS = ('image_id', 'category_id', 'bbox', 'score')


def check_detections(
    content: Any,
    path: str,
    image_ids: Optional[Collection] = None,
    category: Optional[int] = 1,
    keys: Sequence[str] = KEYS,
) -> List[dict]:
    """Check the detections of one category.

    Numbers may be written as text, as MMPose takes them.

    Args:
        content (Any): The file's, as read from JSON.
        path (str): Of the file, for the message.
        image_ids (Collection, optional): Ids of the annotation file's images.
        category (int, optional): Other detections are not read. ``None`` reads all.
            Defaults to 1, the only one that MMPose reads.
        keys (Sequence[str]): What each detection must have.

    Returns:
        list[dict]: the detections of that category.

    Raises:
        ValueError: naming file, entry and key, where one cannot be read or there is
            none.
    """
    if not isinstance(content, list):
        _fail(
            path,
            'a detection file is a list of dicts with image_id, category_id, bbox and '
            f'score, this is a {type(content).__name__}',
        )
    for i, entry in enumerate(content):
        if not isinstance(entry, dict):
            _fail(path, f'entry {i} is {entry!r:.80}, expected a dict with {keys}')
    detections = content
    if category is not None:
        given = _column(content, 'category_id', path)
        detections = [d for d, value in zip(content, given) if value == category]
        if not detections:
            found = ', '.join(sorted(set(map(repr, given)))[:5])
            _fail(
                path,
                f'no detection has category_id {category}, which alone is read ('
                f'{len(content)} detections{found and " of category " + found})',
            )
    for key in keys:
        _column(detections, key, path)
    if image_ids is not None:
        _check_images(detections, path, image_ids)
    boxes = _numbers([d['bbox'] for d in detections], detections, 'bbox', path, 4)
    if 'score' in keys:
        _numbers([d['score'] for d in detections], detections, 'score', path, 1)
    inverted = np.flatnonzero((boxes[:, 2:] < 0).any(axis=1))
    if len(inverted):
        _fail_at(path, detections[inverted[0]], 'bbox', 'left, top, width, height')
    empty = (boxes[:, 2:] == 0).any(axis=1).sum()
    if empty:
        print_log(
            f'{path}: {empty} of {len(boxes)} boxes have no area, their poses will be '
            'nobody',
            'current',
            logging.WARNING,
        )
    return detections


def _check_images(detections: List[dict], path: str, image_ids: Collection) -> None:
    owners = [d['image_id'] for d in detections]
    for detection, owner in zip(detections, owners):
        if type(owner) not in (int, float):
            _fail_at(path, detection, 'image_id', 'a number, as in the annotation file')
    known = set(image_ids)
    unknown = [d for d in detections if d['image_id'] not in known]
    if unknown:
        _fail_at(
            path,
            unknown[0],
            'image_id',
            f'an id of the annotation file, such as {next(iter(known), None)!r}; '
            f'{len(unknown)} of {len(detections)} detections are of other images: take '
            'them out, or give the ann_file that they were made for',
        )


def _column(detections: List[dict], key: str, path: str) -> List[Any]:
    lacking = [i for i, detection in enumerate(detections) if key not in detection]
    if lacking:
        _fail(
            path,
            f'entry {lacking[0]} has no {key} ({len(lacking)} of {len(detections)} have'
            f' none): {_short(detections[lacking[0]])}',
        )
    return [detection[key] for detection in detections]


def _numbers(
    values: List[Any], detections: List[dict], key: str, path: str, length: int
) -> np.ndarray:
    """Finite numbers, float64 (D, length); a box may have a score behind it."""
    rows = np.full((len(values), length), np.nan)
    for i, value in enumerate(values):
        try:
            row = np.array(value, float).ravel()[:length]
        except (TypeError, ValueError):
            continue
        if row.size == length:
            rows[i] = row
    wrong = np.flatnonzero(~np.isfinite(rows).all(axis=1))
    if len(wrong):
        expected = f'{length} numbers' if length > 1 else 'a number'
        _fail_at(path, detections[wrong[0]], key, expected)
    return rows


def _fail_at(path: str, detection: dict, key: str, expected: str) -> NoReturn:
    _fail(
        path,
        f'a detection of image_id {detection.get("image_id")!r} has {key} '
        f'{_short(detection[key])}, expected {expected}',
    )


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 120 else f'{text[:116]} ...'


def _fail(path: str, what: str) -> NoReturn:
    raise ValueError(f'{path}: {what}')
