"""What is wrong with the files of a config, for ``mipnet check_data``.

Nothing is raised. A fault is a finding, once for all entries of a file that have it:
what makes numbers wrong without a word, and what MMPose stops at in MMPose's words.
"""

import contextlib
import io
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, Optional

import numpy as np
from mmengine.dataset import BaseDataset
from mmpose.datasets.datasets.base import BaseCocoStyleDataset as Coco
from mmpose.registry import DATASETS
from PIL import Image

from .masks import mask_fault
from .siblings import Persons, SiblingIndex, read_persons

ERROR, WARNING, NOTE = 'ERROR', 'WARNING', 'NOTE'
EXIF_ORIENTATION = 274


class Findings(list):
    """Rows of severity, place (config key, file) and text.

    ``ERROR`` stops MMPose or makes a number wrong, ``WARNING`` is left out or doubtful,
    ``NOTE`` is not examined.
    """

    def add(self, severity: str, where: str, what: Any) -> None:
        """Add a finding."""
        self.append((severity, where, str(what)))

    def group(self, where: str, entries: Sequence, faults: Iterable) -> None:
        """Add what each entry has, severity and text or None: those alike as one."""
        alike = defaultdict(list)
        for entry, fault in zip(entries, faults):
            if fault:
                is_path = isinstance(entry, str)
                name = entry if is_path else entry.get('id', entry.get('image_id'))
                alike[fault].append(repr(name))
        for (severity, what), names in alike.items():
            some = ', '.join(names[:3]) + ' ...' * (len(names) > 3)
            what = f'{len(names):,} of {len(entries):,} {what} (such as {some})'
            self.add(severity, where, what)

    def flag(self, where: str, entries: Sequence, bad: Iterable, what: str) -> None:
        """Add an error of the entries that are bad."""
        self.group(where, entries, ((ERROR, what) if b else None for b in bad))

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


def stock_dataset_configs(cfg: dict, key: str) -> Iterator[tuple[str, dict]]:
    """Config key and config of each stock dataset inside of one, or of that alone."""
    inside = {'dataset': cfg['dataset']} if 'dataset' in cfg else {}
    inside.update({f'datasets.{i}': c for i, c in enumerate(cfg.get('datasets') or ())})
    if not inside:
        yield key, cfg
    for name, inner in inside.items():
        yield from stock_dataset_configs(inner, f'{key}.{name}')


def build(cfg: dict, without: Sequence[str] = ()) -> BaseDataset:
    """A stock dataset without its pipeline, and without some keys; to be loaded."""
    cfg = {name: value for name, value in cfg.items() if name not in without}
    # an empty one cannot be serialized
    cfg.update(pipeline=[], serialize_data=False, lazy_init=True)
    return DATASETS.build(cfg)


def load(dataset: BaseDataset) -> list[dict]:
    """The samples of a stock dataset; an error names the annotation it stops at."""
    stock_parse, last = dataset.parse_data_info, {}

    def parse(info):
        last.update(id=(info.get('raw_ann_info') or {}).get('id'))
        return stock_parse(info)

    dataset.parse_data_info = parse
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # xtcocotools talks
            dataset.full_init()
    except Exception as error:
        what = f'{type(dataset).__name__}: {type(error).__name__}: {error}'
        what += f'. Read last: id {last["id"]!r}' if 'id' in last else ''
        raise ValueError(what) from error
    return dataset.data_list


def examine_dataset(
    findings: Findings, key: str, cfg: dict, turns: bool
) -> Optional[Data]:
    """Examine the files of a stock dataset; ``turns``: whether EXIF turns images."""
    before, where, boxes = findings.errors, key, cfg.get('bbox_file')
    try:
        dataset = build(cfg, without=['bbox_file'])
        path, folders, kind = dataset.ann_file, dataset.data_prefix, type(dataset)
        files = {f'data_prefix.{name}': folder for name, folder in folders.items()}
        for name, file in dict(files, ann_file=path, bbox_file=boxes).items():
            if file and not os.path.exists(file):
                findings.add(ERROR, f'{key}.{name}', f'{file} is missing')
        if not os.path.isfile(path):
            return None
        where, content = f'{key}.ann_file: {path}', None
        if kind._load_annotations is Coco._load_annotations:
            content = read_annotations(findings, where, path)
        else:
            what = f'not examined: {kind.__name__} reads another format'
            findings.add(NOTE, where, what)
        people = (content or {}).get('annotations') or []
        images = {i['id']: i for i in (content or {}).get('images', ())}
        if findings.errors > before:
            return None
        infos, ids = load(dataset), None
        persons, twice = _examine_persons(findings, where, dataset, infos)
        if boxes:
            where = f'{key}.bbox_file: {boxes}'
            with open(boxes, 'rb') as stream:
                used = [b for b in json.load(stream) if b['category_id'] == 1]
            unknown = (images and b['image_id'] not in images for b in used)
            what = 'detections have an image_id that ann_file lacks'
            findings.flag(where, used, unknown, what)
            if findings.errors > before:
                return None
            infos = load(build(cfg))
            _examine_boxes(findings, where, infos)
        else:
            ids = {info.get('id') for info in infos}
            faults = (_left_out(p, images.get(p['image_id']), ids) for p in people)
            findings.group(where, people, faults)
        if not infos:
            what = 'detection of category_id 1' if boxes else 'person with keypoints'
            raise ValueError(f'no {what} is read')
        if persons and images and not boxes:
            sizes = [images[info['img_id']] for info in infos]
            sizes = [(size.get('height'), size.get('width')) for size in sizes]
            faults = map(mask_fault, infos, persons.mask_shares, sizes)
            findings.group(where, infos, (f and (WARNING, f) for f in faults))
        _examine_images(findings, key, dataset, infos, images, turns)
        return Data(key, dataset, content, ids, persons, twice)
    except Exception as error:  # whatever a dataset raises
        kind = type(error).__name__ + ': '
        findings.add(ERROR, where, kind * (kind != 'ValueError: ') + str(error))


def read_annotations(findings: Findings, where: str, path: str) -> dict:
    """The content of a COCO file."""
    with open(path, 'rb') as stream:
        content = json.load(stream)
    if not isinstance(content, dict) or not content.get('images'):
        raise ValueError('no COCO file: images is missing or empty')
    for name in ('images', 'annotations'):
        entries = content.get(name) or []
        times = Counter(entry['id'] for entry in entries)
        what = f'{name} share their id with another one: each needs its own'
        findings.flag(where, entries, (times[e['id']] > 1 for e in entries), what)
    return content


def _left_out(person: dict, image: Optional[dict], ids: set) -> Optional[tuple]:
    """Why MMPose leaves an annotation out."""
    if image is None:
        return WARNING, 'annotations are left out: image_id is the id of no image'
    if person['id'] in ids:
        return None
    box = np.ravel(person.get('bbox', ()))
    x, y, w, h = box if len(box) == 4 else [0] * 4
    right, bottom = (image.get(key, 0) - 1 for key in ('width', 'height'))
    inside = min(x + w, right) > max(x, 0) and min(y + h, bottom) > max(y, 0)
    reasons = {
        'they have no bbox': 'bbox' not in person,
        'they have no keypoints': 'keypoints' not in person,
        'iscrowd is 1': person.get('iscrowd'),
        'no keypoint is labelled': not is_labelled(person),
        'num_keypoints is 0, though keypoints are labelled': (
            person.get('num_keypoints') == 0
        ),
        'bbox has no area': w <= 0 or h <= 0,
        'bbox lies outside of the image, by its width and height': not inside,
        'by other code or settings of the dataset, or without coordinates above 0': 1,
    }
    why = next(reason for reason, is_so in reasons.items() if is_so)
    return WARNING, f'persons are left out: {why}'


def is_labelled(person: dict) -> bool:
    """Whether an annotation has a keypoint that is labelled."""
    return bool((np.ravel(person.get('keypoints') or [])[2::3] > 0).any())


def _examine_persons(findings, where, dataset, infos) -> tuple[Optional[Persons], set]:
    described = dataset.metainfo['num_keypoints']
    numbers = [info['keypoints'].shape[1] for info in infos]
    for number in set(numbers) - {described}:
        what = f'persons have {number} keypoints, metainfo has {described}'
        findings.flag(where, infos, (n == number for n in numbers), what)
    if set(numbers) != {described}:
        return None, set()
    persons = read_persons(dataset, masks=True)
    bad = ~np.isfinite(persons.keypoints).all(axis=(1, 2))
    findings.flag(where, infos, bad, 'persons have keypoints that are not finite')
    identity = SiblingIndex(persons, 4, dataset.metainfo.get('sigmas', ())).identity
    again = identity != np.arange(len(infos))
    fault = WARNING, 'persons are labelled twice, OKS of 0.9 with another one'
    findings.group(where, infos, (fault if bad else None for bad in again))
    return persons, {info.get('id') for info, bad in zip(infos, again) if bad}


def _examine_boxes(findings, where, boxed) -> None:
    boxes = np.array([info['bbox'][0] for info in boxed]).reshape(-1, 4)
    scores = np.array([info['bbox_score'][0] for info in boxed])
    bad = ~np.isfinite(np.c_[boxes, scores]).all(axis=1)
    what = 'detections have a bbox or score that is not finite'
    findings.flag(where, boxed, bad, what)
    extents = boxes[:, 2:] - boxes[:, :2]
    what = 'detections have a bbox that is not left, top, width, height'
    findings.flag(where, boxed, (extents < 0).any(axis=1), what)
    fault = WARNING, 'detections have a bbox without an area'
    empty = (extents == 0).any(axis=1)
    findings.group(where, boxed, (fault if bad else None for bad in empty))


def _examine_images(findings, key, dataset, infos, images, turns) -> None:
    paths = (info['img_path'] for info in infos)  # of a video several, or one
    paths = ([path] if isinstance(path, str) else path for path in paths)
    used = sorted({path for several in paths for path in several})
    folder = dataset.data_prefix.get('img', '')
    sizes = {
        os.path.join(folder, image['file_name']): (image['width'], image['height'])
        for image in images.values()
        if {'width', 'height'} <= set(image)
    }
    inside = [dataset.data_root, *dataset.data_prefix.values()]
    inside = tuple(os.path.join(os.path.abspath(f), '') for f in inside if f)
    faults = (_image_fault(path, sizes.get(path), inside, turns) for path in used)
    findings.group(f'{key}.data_prefix', used, faults)


def _image_fault(
    path: str, size: Optional[tuple], inside: tuple, turns: bool
) -> Optional[tuple[str, str]]:
    # an annotation file may name any file of the machine: those are not opened
    if inside and not os.path.abspath(path).startswith(inside):
        return ERROR, 'images lie outside of data_root and data_prefix'
    if not os.path.isfile(path):
        return ERROR, 'images are missing'
    try:
        with Image.open(path) as image:
            # Pillow decodes a PNG to look for what it does not have
            has_exif = turns and (image.format != 'PNG' or 'exif' in image.info)
            turn = image.getexif().get(EXIF_ORIENTATION, 1) if has_exif else 1
            found = image.size[::-1] if turn in (5, 6, 7, 8) else image.size
    except Exception as error:  # whatever Pillow raises
        return ERROR, f'images cannot be read ({type(error).__name__})'
    if size and size != found:
        by = ', turned as EXIF says,' if turn > 1 else ''
        return ERROR, f'images{by} are not of the width and height in ann_file'
    what = 'images are turned by EXIF: they must be annotated as turned'
    return (WARNING, what) if turn > 1 else None
