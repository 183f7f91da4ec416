"""What is wrong with the files of a config, for ``mipnet check_data``.

Nothing is raised. A fault is a finding, once for all entries of a file that have it:
what makes numbers wrong without a word, and what MMPose stops at in MMPose's words.
"""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from io import StringIO
from typing import NamedTuple, Optional

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.fileio import load
from mmpose.datasets.datasets.base import BaseCocoStyleDataset as Coco
from mmpose.registry import DATASETS
from PIL import Image

from .masks import mask_fault
from .siblings import Persons, SiblingIndex, read_persons

# stops MMPose or makes a number wrong; is left out or doubtful; is not examined
ERROR, WARNING, NOTE = 'ERROR', 'WARNING', 'NOTE'
EXIF_ORIENTATION = 274


class Findings:
    """Prints what is found at ``where``, a config key and file; counts the errors."""

    where, errors = '', 0

    def add(self, severity: str, what: str) -> None:
        """Print a finding."""
        print(f'  {severity:8} {self.where}: {what}', flush=True)
        self.errors += severity == ERROR

    def flag(
        self, severity: str, entries: Sequence, bad: Iterable, what: str = ''
    ) -> None:
        """Print once what some have; ``bad`` of each is whether it has it, or what."""
        alike = defaultdict(list)
        for entry, fault in zip(entries, bad):
            if fault:
                alike[what or fault].append(repr(entry.get('id')))
        for fault, names in alike.items():
            some = ', '.join(names[:3]) + ' ...' * (len(names) > 3)
            count = f'{len(names):,} of {len(entries):,}'
            self.add(severity, f'{count} {fault} (such as {some})')

    @contextmanager
    def catching(self, where: str) -> Iterator[None]:
        """Whatever a config, a dataset or a metric raises inside is an error."""
        self.where = where
        try:
            yield
        except Exception as error:
            self.add(ERROR, f'{type(error).__name__}: {error}')


class Data(NamedTuple):
    """A stock dataset that can be read."""

    key: str  # in the config
    dataset: BaseDataset  # of the annotated persons, whatever bbox_file is
    content: dict  # of the annotation file; empty where that is not COCO's format
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


def examine_dataset(
    findings: Findings, key: str, cfg: dict, turns: bool
) -> Optional[Data]:
    """Examine the files of a stock dataset; ``turns``: whether EXIF turns images."""
    # an empty one cannot be serialized
    cfg = dict(cfg, pipeline=[], serialize_data=False, lazy_init=True)
    boxes, ids, content = cfg.pop('bbox_file', None), None, {}
    with findings.catching(key):
        dataset = DATASETS.build(cfg)
        findings.where = f'{key}.ann_file: {dataset.ann_file}'
        kind = type(dataset)
        if kind._load_annotations is Coco._load_annotations:
            content = read_annotations(findings, dataset.ann_file)
        else:
            findings.add(NOTE, f'not examined: {kind.__name__} reads another format')
        images = {image['id']: image for image in content.get('images') or ()}
        infos = read(dataset)
        persons, twice = _examine_persons(findings, dataset, infos, images)
        if boxes:
            findings.where = f'{key}.bbox_file: {boxes}'
            infos = _examine_boxes(findings, dict(cfg, bbox_file=boxes), images)
        else:
            people, ids = content.get('annotations') or [], {i.get('id') for i in infos}
            faults = (_left_out(p, images.get(p['image_id']), ids) for p in people)
            findings.flag(WARNING, people, faults)
            if not infos:
                raise ValueError('no person with keypoints is read')
        findings.where = f'{key}.data_prefix'
        _examine_images(findings, dataset, infos, images, turns)
        return Data(key, dataset, content, ids, persons, twice)
    return None


def read_annotations(findings: Findings, path: str) -> dict:
    """The content of a COCO file."""
    content = load(path, file_format='json')
    for name in ('images', 'annotations'):
        entries = content.get(name) or []
        times = Counter(entry['id'] for entry in entries)
        bad = (times[entry['id']] > 1 for entry in entries)
        what = f'{name} share their id with another one: each needs its own'
        findings.flag(ERROR, entries, bad, what)
    return content


def read(dataset: BaseDataset) -> list[dict]:
    """The samples of a stock dataset; an error names the annotation it stops at."""
    stock_parse, last = dataset.parse_data_info, {}

    def parse(info):
        last['id'] = info['raw_ann_info']['id']
        return stock_parse(info)

    dataset.parse_data_info = parse
    try:
        with redirect_stdout(StringIO()):  # xtcocotools talks
            dataset.full_init()
    except Exception as error:
        if last:
            error.args = (f'{error}. Read last: id {last["id"]!r}',)
        raise
    return dataset.data_list


def _examine_persons(findings, dataset, infos, images):
    """Examine the annotated persons; these, and the ids of who is there twice."""
    described = dataset.metainfo['num_keypoints']
    numbers = [info['keypoints'].shape[1] for info in infos]
    what = f'persons have {{}} keypoints, metainfo has {described}'
    faults = [n != described and what.format(n) for n in numbers]
    findings.flag(ERROR, infos, faults)
    if any(faults) or not infos:
        return None, set()
    persons = read_persons(dataset, masks=True)
    bad = ~np.isfinite(persons.keypoints).all(axis=(1, 2))
    findings.flag(ERROR, infos, bad, 'persons have keypoints that are not finite')
    index = SiblingIndex(persons, 4, dataset.metainfo.get('sigmas', ()))
    again = index.identity != np.arange(len(infos))
    what = 'persons are labelled twice, OKS of 0.9 with another one'
    findings.flag(WARNING, infos, again, what)
    if images:
        used = [images[info['img_id']] for info in infos]
        shapes = [(image['height'], image['width']) for image in used]
        faults = map(mask_fault, infos, persons.mask_shares, shapes)
        findings.flag(WARNING, infos, faults)
    return persons, {info.get('id') for info, bad in zip(infos, again) if bad}


def _left_out(person, image, ids) -> str:
    """Why MMPose leaves an annotation out; empty where it does not."""
    if image is None:
        return 'annotations are left out: image_id is the id of no image'
    if person['id'] in ids:
        return ''
    x, y, w, h = person.get('bbox') or [0] * 4
    right, bottom = image['width'] - 1, image['height'] - 1
    has_area = min(x + w, right) > max(x, 0) and min(y + h, bottom) > max(y, 0)
    reasons = {
        'they have no bbox or keypoints': not {'bbox', 'keypoints'} <= set(person),
        'iscrowd is 1': person.get('iscrowd'),
        'no keypoint is labelled': not is_labelled(person),
        'num_keypoints is 0, though there are some': person.get('num_keypoints') == 0,
        'bbox has no area inside of the image, by its width and height': not has_area,
        'by other code or settings of the dataset, or without coordinates above 0': 1,
    }
    why = next(reason for reason, is_so in reasons.items() if is_so)
    return f'persons are left out: {why}'


def is_labelled(person: dict) -> bool:
    """Whether an annotation has a keypoint that is labelled."""
    return any(v > 0 for v in person.get('keypoints', ())[2::3])


def _examine_boxes(findings, cfg, images) -> list[dict]:
    """Examine the detections of a ``bbox_file``; the samples that MMPose reads."""
    used = [box for box in load(cfg['bbox_file']) if box['category_id'] == 1]
    used = [dict(id=box['image_id']) for box in used]
    unknown = (images and image['id'] not in images for image in used)
    what = 'detections have an image_id that ann_file lacks'
    findings.flag(ERROR, used, unknown, what)
    infos = read(DATASETS.build(cfg))
    if not infos:
        raise ValueError('no detection of category_id 1 is read')
    rows = np.array([[*info['bbox'][0], *info['bbox_score']] for info in infos])
    extents = rows[:, 2:4] - rows[:, :2]
    for severity, bad, what in (
        (ERROR, ~np.isfinite(rows), 'or score that is not finite'),
        (ERROR, extents < 0, 'that is not left, top, width, height'),
        (WARNING, extents == 0, 'without an area'),
    ):
        what = f'detections have a bbox {what}'
        findings.flag(severity, infos, bad.any(axis=1), what)
    return infos


def _examine_images(findings, dataset, infos, images, turns) -> None:
    sizes = {}  # by path, of which a video has several
    for info in infos:
        paths, image = info['img_path'], images.get(info.get('img_id'), {})
        for path in [paths] if isinstance(paths, str) else paths:
            sizes[path] = image.get('width'), image.get('height')
    inside = [dataset.data_root, *dataset.data_prefix.values()]
    inside = tuple(os.path.join(os.path.abspath(f), '') for f in inside if f)
    faults = [_image_faults(*image, inside, turns) for image in sizes.items()]
    entries = [dict(id=path) for path in sizes]
    for severity, bad in zip((ERROR, WARNING), zip(*faults)):
        findings.flag(severity, entries, bad)


def _image_faults(path, size, inside, turns) -> tuple[str, str]:
    """What is an error and what is a warning; empty where nothing is."""
    # an annotation file may name any file of the machine: those are not opened
    if inside and not os.path.abspath(path).startswith(inside):
        return 'images lie outside of data_root and data_prefix', ''
    try:
        with Image.open(path) as image:
            # Pillow decodes a PNG to look for what it does not have
            has_exif = turns and (image.format != 'PNG' or 'exif' in image.info)
            turn = image.getexif().get(EXIF_ORIENTATION, 1) if has_exif else 1
            found = image.size[::-1] if turn in (5, 6, 7, 8) else image.size
    except Exception as error:  # whatever Pillow raises
        return f'images cannot be read: {type(error).__name__}', ''
    if size not in (found, (None, None)):
        by = ', turned as EXIF says,' if turn > 1 else ''
        return f'images{by} are not of the width and height in ann_file', ''
    what = 'images are turned by EXIF: they must be annotated as turned'
    return '', what if turn > 1 else ''
