"""What is wrong with the files of a config, for ``mipnet check_data``.

Nothing is raised: a fault is a finding, once for all entries of a file that have it.
"""

import contextlib
import io
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any, NamedTuple, Optional

import numpy as np
from mmengine.dataset import BaseDataset
from mmpose.datasets.datasets.base import BaseCocoStyleDataset as Coco
from mmpose.registry import DATASETS

from .file_faults import (
    ERROR,
    NOTE,
    WARNING,
    box_faults,
    image_faults,
    key_faults,
    left_out_faults,
    parse_faults,
)
from .siblings import Persons, SiblingIndex, read_persons


class Findings(list):
    """Rows of severity, place (config key, file) and text.

    ``ERROR`` stops MMPose or makes a number wrong, ``WARNING`` is left out or doubtful,
    ``NOTE`` is not examined.
    """

    def add(self, severity: str, where: str, what: Any) -> None:
        """Add a finding."""
        self.append((severity, where, str(what)))

    def group(self, where: str, entries: list, faults: Iterable[Iterable]) -> None:
        """Add the faults of each entry, those alike as one with their count."""
        alike = defaultdict(list)
        for entry, found in zip(entries, faults):
            for fault in found:
                is_path = isinstance(entry, str)
                name = entry if is_path else entry.get('id', entry.get('image_id'))
                alike[fault].append(repr(name))
        for (severity, what), names in alike.items():
            some = ', '.join(names[:3]) + ' ...' * (len(names) > 3)
            what = f'{len(names):,} of {len(entries):,} {what} (such as {some})'
            self.add(severity, where, what)

    @property
    def errors(self) -> int:
        """int: number of errors."""
        return sum(severity == ERROR for severity, *_ in self)


class Data(NamedTuple):
    """A stock dataset that can be read."""

    key: str  # in the config
    dataset: BaseDataset  # of the annotated persons, whatever bbox_file is
    content: Optional[dict]  # of the annotation file, where that is COCO's format
    ids: Optional[set]  # of the samples; None where those are the boxes of bbox_file
    persons: Optional[Persons]  # None where nobody is annotated
    twice: set  # ids of those that are labelled twice


def build(cfg: dict, **changes: Any) -> BaseDataset:
    """A stock dataset without its pipeline."""
    changes.update(pipeline=[], serialize_data=False)  # an empty one cannot be
    with contextlib.redirect_stdout(io.StringIO()):  # xtcocotools talks
        return DATASETS.build({**cfg, **changes})


def examine_dataset(
    findings: Findings, key: str, cfg: dict, turns: bool = True
) -> Optional[Data]:
    """Examine the files of a stock dataset, its persons and their images.

    Args:
        findings (Findings): To add to.
        key (str): Config key of the dataset.
        cfg (dict): Its config.
        turns (bool): Whether images are turned by EXIF when loaded. Defaults to True.

    Returns:
        Data | None: None where MMPose could not read it.
    """
    boxes, infos = cfg.get('bbox_file'), []
    stock = {name: value for name, value in cfg.items() if name != 'bbox_file'}
    where = key
    try:
        dataset = build(stock, lazy_init=True)
        if getattr(dataset, 'data_mode', 'topdown') != 'topdown':
            raise ValueError(f'data_mode is {dataset.data_mode!r}, not top-down')
        path, folders = dataset.ann_file, dataset.data_prefix
        files = {f'data_prefix.{name}': folder for name, folder in folders.items()}
        files.update(ann_file=path, bbox_file=boxes)
        for name, file in files.items():
            if file and not os.path.exists(file):
                findings.add(ERROR, f'{key}.{name}', f'{file} is missing')
        if not os.path.isfile(path):
            return None
        before, content, where = findings.errors, None, f'{key}.ann_file: {path}'
        kind = type(dataset)
        if kind._load_annotations is Coco._load_annotations:
            content = read_annotations(findings, where, path, dataset)
        else:
            what = f'not examined: {kind.__name__} reads another format'
            findings.add(NOTE, where, what)
        if findings.errors == before and boxes and os.path.isfile(boxes):
            if content and kind._load_detection_results is Coco._load_detection_results:
                _examine_boxes(findings, f'{key}.bbox_file: {boxes}', boxes, content)
        if findings.errors > before:
            return None
        dataset = build(stock)
        infos = _infos(dataset)
        boxed = _infos(build(cfg)) if boxes and os.path.isfile(boxes) else []
        persons, twice = _examine_persons(findings, where, dataset, infos)
    except Exception as error:  # whatever a dataset raises
        return findings.add(ERROR, where, error)
    if not infos + boxed:
        return findings.add(ERROR, where, 'no person with a box and keypoints in it')
    ids = None if boxes else {info.get('id') for info in infos}
    sizes = {}
    if content:
        images = {image['id']: image for image in content['images']}
        for image in images.values():
            file = os.path.join(folders['img'], image['file_name'])
            sizes[file] = image.get('width'), image.get('height')
        if not boxes:
            people = content.get('annotations') or []
            owners = (images.get(person['image_id']) for person in people)
            faults = (left_out_faults(p, i, ids) for p, i in zip(people, owners))
            findings.group(where, people, faults)
    used = sorted({file for info in infos + boxed for file in image_paths(info)})
    faults = (image_faults(file, sizes.get(file), dataset, turns) for file in used)
    findings.group(f'{key}.data_prefix', used, faults)
    return Data(key, dataset, content, ids, persons, twice)


def image_paths(info: dict) -> list[str]:
    """The images of a sample: of a video several, the person's frame first."""
    paths = info['img_path']
    return [paths] if isinstance(paths, str) else list(paths)


def read_annotations(
    findings: Findings, where: str, path: str, dataset: Optional[Coco] = None
) -> Optional[dict]:
    """The content of a COCO file; None where it, or ``dataset``, cannot be read."""
    before, content = findings.errors, _read_json(findings, where, path)
    if not isinstance(content, dict) or not content.get('images'):
        if findings.errors == before:
            findings.add(ERROR, where, 'no COCO file: images is missing or empty')
        return None
    number = int, float, str
    types = dict(
        images=dict(id=(int,), file_name=(str,)),
        annotations=dict(id=number, image_id=number, category_id=(int,)),
        categories=dict(id=(int,)),
    )
    for name, keys in types.items():
        entries = content.get(name) or []
        if not all(isinstance(entry, dict) for entry in entries):
            findings.add(ERROR, where, f'{name} is not a list of dicts')
            return None
        times = Counter(repr(entry.get('id')) for entry in entries)
        faults = (key_faults(e, name, keys, times) for e in entries)
        findings.group(where, entries, faults)
    if findings.errors == before and dataset is not None:
        images = {image['id']: image for image in content['images']}
        people = content.get('annotations') or []
        if people and all(p['image_id'] not in images for p in people):
            what = 'the image_id of all annotations is the id of no image, such as '
            findings.add(ERROR, where, what + repr(people[0]['image_id']))
        faults = (parse_faults(p, images.get(p['image_id']), dataset) for p in people)
        findings.group(where, people, faults)
    return content if findings.errors == before else None


def _read_json(findings: Findings, where: str, path: str) -> Any:
    try:
        with open(path, 'rb') as stream:
            return json.load(stream)
    except (OSError, ValueError) as error:
        return findings.add(ERROR, where, f'this is not a JSON file ({error})')


def _infos(dataset: BaseDataset) -> list[dict]:
    return [BaseDataset.get_data_info(dataset, i) for i in range(len(dataset))]


def _examine_persons(findings, where, dataset, infos) -> tuple[Optional[Persons], set]:
    described = dataset.metainfo['num_keypoints']
    numbers = [info['keypoints'].shape[1] for info in infos]
    what = 'persons have {} keypoints, metainfo of the dataset has {}'
    faults = ([(ERROR, what.format(n, described))] * (n != described) for n in numbers)
    findings.group(where, infos, faults)
    if set(numbers) != {described}:
        return None, set()
    persons = read_persons(dataset)
    identity = SiblingIndex(persons, 4, dataset.metainfo.get('sigmas', ())).identity
    again = identity != np.arange(len(infos))
    what = 'persons are labelled twice, OKS of 0.9 with another one of the image'
    findings.group(where, infos, ([(WARNING, what)] * int(bad) for bad in again))
    return persons, {info.get('id') for info, bad in zip(infos, again) if bad}


def _examine_boxes(findings, where, path, content) -> None:
    boxes = _read_json(findings, where, path)
    if not isinstance(boxes, list) or not all(isinstance(b, dict) for b in boxes):
        return findings.add(ERROR, where, 'bbox_file is not a list of dicts')
    given = {repr(box.get('category_id')) for box in boxes}
    if not any(box.get('category_id') == 1 for box in boxes):
        found = ', '.join(sorted(given)) or 'no box'
        what = f'no detection has category_id 1, which alone is read ({found})'
        return findings.add(ERROR, where, what)
    images = {image['id'] for image in content['images']}
    findings.group(where, boxes, (box_faults(box, images) for box in boxes))
