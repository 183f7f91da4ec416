"""What a COCO-style annotation file must have, said before anybody reads it.

xtcocotools and MMPose read such a file without a look: what is missing ends in a bare
``KeyError``, and ids that occur twice, areas of 0 or categories that differ give wrong
targets or a wrong AP. Each function here passes a file that is right, warns of what
the reader leaves out, with a count, and raises a ``ValueError`` that names file, id and
key otherwise. Keys that nobody reads are not looked at.
"""

import itertools
import logging
from collections import Counter
from typing import Any, Dict, List, NoReturn, Optional, Sequence

import numpy as np
from mmengine.logging import print_log


def check_annotations(content: Any, path: str) -> None:
    """Check the ids of images and annotations, on which all else stands.

    Args:
        content (Any): The file's, as read from JSON.
        path (str): Of the file, for the message.

    Raises:
        ValueError: where the content is no dict with ``images``, an id is missing, no
            number or there twice, or no annotation belongs to an image.
    """
    if not isinstance(content, dict):
        _fail(
            path,
            f'a COCO annotation file is a dict with images, annotations and categories,'
            f' this is a {type(content).__name__} (detections go into bbox_file)',
        )
    images = _entries(content, 'images', path)
    if not images:
        _fail(path, 'images is empty')
    _check_unique(images, 'images', 'id', path, (int,), 'MMPose looks images up by int')
    annotations = content.get('annotations')
    if not annotations:
        return
    annotations = _entries(content, 'annotations', path)
    _check_unique(annotations, 'annotations', 'id', path, (int, float, str))
    owners = _column(annotations, 'annotations', 'image_id', path)
    _check_types(owners, annotations, 'annotations', 'image_id', path, (int, float))
    if 'categories' in content:
        categories = _column(annotations, 'annotations', 'category_id', path)
        _check_types(
            categories, annotations, 'annotations', 'category_id', path, (int,)
        )
    known = {image['id'] for image in images}
    orphans = [i for i, owner in enumerate(owners) if owner not in known]
    if len(orphans) == len(annotations):
        _fail(
            path,
            f'the image_id of all {len(annotations)} annotations, such as '
            f'{owners[0]!r}, is not the id of any of the {len(images)} images, such as '
            f'{images[0]["id"]!r}',
        )
    if orphans:
        first = orphans[0]
        _warn(
            path,
            f'{len(orphans)} of {len(annotations)} annotations are left out, their '
            f'image_id is no id in images, such as that of id '
            f'{annotations[first]["id"]!r}: {owners[first]!r}',
        )


def check_persons(content: dict, path: str, num_keypoints: int, key: str) -> None:
    """Check what ``BaseCocoStyleDataset`` reads of each person.

    An annotation without ``bbox`` or ``keypoints`` is left out there and here.

    Args:
        content (dict): That has passed :func:`check_annotations`.
        path (str): Of the file, for the message.
        num_keypoints (int): K, of the dataset's ``metainfo``.
        key (str): Config key of the dataset, for the message.

    Raises:
        ValueError: where an image has no name or size, a box is not four numbers or
            there are not K keypoints of three numbers.
    """
    images = content['images']
    names = _column(images, 'images', 'file_name', path)
    _check_types(names, images, 'images', 'file_name', path, (str,))
    persons = _persons(content, ('bbox', 'keypoints'))
    used = {person['image_id'] for person in persons}
    used = [image for image in images if image['id'] in used]
    for side in ('width', 'height'):
        sizes = _column(used, 'images', side, path)
        _check_types(sizes, used, 'images', side, path, (int, float))
        for image, size in zip(used, sizes):
            if not size > 0:
                _fail(path, f'images, id {image["id"]}: {side} is {size}, in pixels')
    _column(persons, 'annotations', 'category_id', path)
    _check_crowd_flags(persons, path)
    sizes = _numbers(persons, 'bbox', path, 4)[:, 2:]
    empty = np.flatnonzero((sizes <= 0).any(axis=1))
    if len(empty):
        _warn(
            path,
            f'{len(empty)} of {len(persons)} persons, such as id '
            f'{persons[empty[0]]["id"]!r}, are left out, their bbox has no area',
        )
    found = _num_keypoints(persons, 'keypoints', path)
    if persons and found != num_keypoints:
        _fail(
            path,
            f'the annotations have {found} keypoints, but {key}.metainfo has '
            f'{num_keypoints}: both, and model.head.out_channels, must be the same '
            '(metainfo=dict(from_file=...) describes other keypoints than those of '
            "the dataset's type)",
        )
    _numbers(persons, 'keypoints', path, 3 * num_keypoints)


def check_ground_truth(
    content: dict,
    path: str,
    num_keypoints: Dict[str, Optional[int]],
    use_area: bool = True,
    crowd: bool = False,
) -> None:
    """Check what the evaluation of COCO reads of each person.

    Args:
        content (dict): That has passed :func:`check_annotations`.
        path (str): Of the file, for the message.
        num_keypoints (dict[str, int]): Keypoints in each field, such as
            ``{'keypoints': 17}``; ``None`` where any number will do.
        use_area (bool): As the metric's. Defaults to ``True``.
        crowd (bool): Whether the metric's ``iou_type`` is ``'keypoints_crowd'``.
            Defaults to ``False``.

    Raises:
        ValueError: where the evaluation would stop or could not be right.
    """
    if not content.get('annotations'):
        _fail(
            path,
            'without annotations nothing can be evaluated: with format_only=True and '
            'outfile_prefix the metric writes the poses alone',
        )
    persons = _of_categories(content, _persons(content), path)
    _check_ids(persons, path)
    _check_crowd_flags(persons, path)
    labelled = np.zeros(len(persons), bool)
    for field, num in num_keypoints.items():
        found = _num_keypoints(persons, field, path)
        if num is not None and found != num:
            _fail(
                path,
                f'the annotations have {found} {field}, but the metainfo of the '
                f'dataset that is evaluated has {num} (test_dataloader.dataset.'
                'metainfo, or the type of the dataset)',
            )
        labelled |= (_numbers(persons, field, path, 3 * found)[:, 2::3] > 0).any(axis=1)
    if crowd:
        counts = _column(persons, 'annotations', 'num_keypoints', path, CROWD_HINT)
        _check_types(counts, persons, 'annotations', 'num_keypoints', path, (int,))
        labelled = np.array(counts) > 0
        images = content['images']
        indices = _column(images, 'images', 'crowdIndex', path, CROWD_HINT)
        _check_types(indices, images, 'images', 'crowdIndex', path, (int, float))
    sought = labelled & ~np.array([bool(p.get('iscrowd')) for p in persons])
    if not sought.any():
        _fail(
            path,
            f'none of {len(persons)} annotations has a labelled keypoint and iscrowd=0:'
            ' there is nobody to find, and AP would be -1',
        )
    _check_sizes(persons, sought, path, use_area)


CROWD_HINT = "iou_type='keypoints_crowd' needs it; CrowdPose's own files have it"


def _check_sizes(
    persons: List[dict], sought: np.ndarray, path: str, use_area: bool
) -> None:
    """OKS measures distances by a person's area: it must be one."""
    boxes = _numbers(persons, 'bbox', path, 4)
    if use_area:
        hint = "the metric's use_area=False takes the box's in its place"
        areas = _column(persons, 'annotations', 'area', path, hint)
        _check_types(areas, persons, 'annotations', 'area', path, (int, float), hint)
        areas, name = np.array(areas, float), 'area'
    else:
        areas, name = boxes[:, 2] * boxes[:, 3], 'bbox'
        hint = 'it is x, y, width, height in pixels'
    wrong = np.flatnonzero(sought & ~(areas >= 0))
    if len(wrong):
        person = persons[wrong[0]]
        _fail(path, f'annotations, id {person["id"]}: {name} is {person[name]}, {hint}')
    if areas[sought].max() < 1:
        _fail(
            path,
            f'all {sought.sum()} annotations have an area of less than one pixel, such '
            f'as id {persons[sought.argmax()]["id"]}: nobody could be found, {hint}',
        )
    empty = np.flatnonzero(sought & (areas == 0))
    if len(empty):
        _warn(
            path,
            f'{len(empty)} of {sought.sum()} persons, such as id '
            f'{persons[empty[0]]["id"]}, have no area and can never be found',
        )


def _of_categories(content: dict, persons: List[dict], path: str) -> List[dict]:
    """The persons whose category is evaluated."""
    hint = "the evaluation needs it: [{'id': 1, 'name': 'person'}]"
    categories = _entries(content, 'categories', path, hint)
    _check_unique(categories, 'categories', 'id', path, (int,))
    known = {category['id'] for category in categories}
    found = [person for person in persons if person['category_id'] in known]
    if not found:
        given = sorted({person['category_id'] for person in persons})
        _fail(
            path,
            f'the annotations have category_id {_some(given)}, categories has id '
            f'{_some(sorted(known))}: none is evaluated, make them the same',
        )
    if len(found) < len(persons):
        _warn(
            path,
            f'{len(persons) - len(found)} of {len(persons)} annotations are not '
            'evaluated, their category_id is no id in categories',
        )
    return found


def _check_ids(persons: List[dict], path: str) -> None:
    """The evaluation writes the ids of matches into an array; -1 means none."""
    hint = 'give each annotation a whole number from 0 on'
    for person in persons:
        try:
            if int(person['id']) >= 0:
                continue
        except ValueError:  # text
            pass
        _fail(path, f'annotations, id {person["id"]!r}: COCO cannot count it, {hint}')


def _check_crowd_flags(persons: List[dict], path: str) -> None:
    flags = [person.get('iscrowd', 0) for person in persons]
    types = (int, float, bool)
    _check_types(flags, persons, 'annotations', 'iscrowd', path, types, 'it is 0 or 1')


def _persons(content: dict, keys: Sequence[str] = ()) -> List[dict]:
    """The annotations of the images, of those the ones with some keys."""
    known = {image['id'] for image in content['images']}
    return [
        person
        for person in content.get('annotations') or ()
        if person['image_id'] in known and all(key in person for key in keys)
    ]


def _num_keypoints(persons: List[dict], field: str, path: str) -> int:
    """Keypoints of the first person."""
    values = _column(persons[:1], 'annotations', field, path)
    return sum(np.size(value) for value in values) // 3


def _numbers(persons: List[dict], key: str, path: str, length: int) -> np.ndarray:
    """The numbers of a key, float64 (P, length), none of them NaN."""
    values = _column(persons, 'annotations', key, path)
    try:
        if set(map(len, values)) <= {length}:
            flat = itertools.chain.from_iterable(values)
            numbers = np.fromiter(flat, float, length * len(values))
            if not np.isnan(numbers).any():
                return numbers.reshape(-1, length)
    except (TypeError, ValueError):
        pass
    rows = []
    for person, value in zip(persons, values):  # which one, or keypoints in a list each
        where = f'annotations, id {person["id"]!r}: {key}'
        try:
            len(value)
            row = np.array(value, float).ravel()
        except (TypeError, ValueError):
            _fail(path, f'{where} is {_short(value)}, expected {length} numbers')
        if row.size != length:
            _fail(path, f'{where} has {row.size} numbers, expected {length}')
        if np.isnan(row).any():
            _fail(path, f'{where} has NaN: {_short(value)}')
        rows.append(row)
    return np.array(rows).reshape(-1, length)


def _entries(content: dict, name: str, path: str, hint: str = '') -> List[dict]:
    """A list of dicts."""
    entries = content.get(name)
    if not isinstance(entries, list):
        what = 'is missing' if name not in content else 'is no list'
        _fail(path, f'{name} {what}{hint and ": " + hint}')
    for i, entry in enumerate(entries):
        if not isinstance(entry, dict):
            _fail(path, f'{name}[{i}] is {_short(entry)}, expected a dict')
    return entries


def _column(
    entries: List[dict], name: str, key: str, path: str, hint: str = ''
) -> List[Any]:
    """The value of a key in each entry."""
    try:
        return [entry[key] for entry in entries]
    except KeyError:
        lacking = [i for i, entry in enumerate(entries) if key not in entry]
    i = lacking[0]
    of = '' if key == 'id' else f', id {entries[i].get("id")!r}'
    _fail(
        path,
        f'{name}[{i}]{of} has no {key} ({len(lacking)} of {len(entries)} have none)'
        f'{hint and ": " + hint}',
    )


def _check_types(
    values: List[Any],
    entries: List[dict],
    name: str,
    key: str,
    path: str,
    types: Sequence[type],
    hint: str = '',
) -> None:
    if set(map(type, values)) <= set(types):
        return
    i = next(i for i, value in enumerate(values) if type(value) not in types)
    expected = ' or '.join(kind.__name__ for kind in types)
    of = '' if key == 'id' else f', id {entries[i].get("id")!r}'
    _fail(
        path,
        f'{name}[{i}]{of}: {key} is {_short(values[i])} '
        f'({type(values[i]).__name__}), expected {expected}{hint and ": " + hint}',
    )


def _check_unique(
    entries: List[dict],
    name: str,
    key: str,
    path: str,
    types: Sequence[type],
    hint: str = '',
) -> None:
    values = _column(entries, name, key, path)
    _check_types(values, entries, name, key, path, types, hint)
    if len(set(values)) == len(values):
        return
    value, times = Counter(values).most_common(1)[0]
    owners = [e.get('image_id', e.get('file_name')) for e in entries if e[key] == value]
    more = len(values) - len(set(values))
    _fail(
        path,
        f'{name} has {key} {value!r} {times} times, of {_some(owners)}: each needs its '
        f'own in the whole file ({more} of {len(values)} are there already)',
    )


def _some(values: Sequence) -> str:
    return ', '.join(map(repr, values[:3])) + (' ...' if len(values) > 3 else '')


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) < 80 else f'{text[:76]} ...'


def _warn(path: str, what: str) -> None:
    print_log(f'{path}: {what}', 'current', logging.WARNING)


def _fail(path: str, what: str) -> NoReturn:
    raise ValueError(f'{path}: {what}')
