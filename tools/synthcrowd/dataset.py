"""A data set of synthetic crowds on disk, in COCO's format."""

import contextlib
import json
import multiprocessing
import os
import signal
import threading
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from . import body, scene

VERSION = '1.0'
DESCRIPTION = 'synthetic crowds of mannequins (mipnet_mmpose)'
NMS_IOU = 0.5  # what detectors commonly use on their final boxes
GROUP_IOU = 0.3  # boxes that overlap this much count as one group
SKELETON = [
    [16, 14], [14, 12], [17, 15], [15, 13], [12, 13], [6, 12], [7, 13], [6, 7],
    [6, 8], [7, 9], [8, 10], [9, 11], [2, 3], [1, 2], [1, 3], [2, 4], [3, 5],
    [4, 6], [5, 7],
]  # fmt: skip
_TABLES = ('detections.json', 'one_box_per_pair.json', 'annotations.json')
_MARKER = '.synthcrowd-incomplete'


def simulate_detector(rng, annotations, size):
    """Boxes a person detector might give for one picture, before NMS.

    Returns:
        list[dict]: ``bbox`` (x, y, w, h) in pixels and ``score``. Boxes are jittered;
        the score falls with the hidden share; hidden people are sometimes missed and
        a false box is added to about one picture in ten.
    """
    boxes = []
    for annotation in annotations:
        visible = annotation['visible_fraction']
        x, y, w, h = annotation['bbox']
        jitter = rng.normal(0, 0.025, 4) * (w, h, w, h)
        score = float(np.clip(0.5 + 0.45 * visible + rng.normal(0, 0.05), 0.05, 0.999))
        if rng.random() < 0.01 + 0.15 * (1 - visible):
            continue
        corners = np.array([x, y, x + w, y + h]) + jitter
        boxes.append(_detection(corners, score, size))
    if rng.random() < 0.1:
        middle = rng.uniform(0.2, 0.8, 2) * size
        half = rng.uniform([0.04, 0.12], [0.12, 0.35]) * size[1]
        corners = np.concatenate([middle - half, middle + half])
        boxes.append(_detection(corners, float(rng.uniform(0.05, 0.45)), size))
    return boxes


def _detection(corners, score, size):
    low = np.clip(corners[:2], 0, np.array(size) - 2)
    high = np.clip(corners[2:], low + 2, size)
    bbox = [round(float(v), 2) for v in (*low, *(high - low))]
    return dict(bbox=bbox, score=round(score, 4))


def _ious(entries):
    """IoU ``(N, N)`` of the boxes of annotations or detections."""
    boxes = np.array([entry['bbox'] for entry in entries], float).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return scene.box_ious(boxes, boxes)


def suppress(detections, iou=NMS_IOU):
    """Greedy box NMS: best score first, boxes over ``iou`` with a kept one go."""
    detections = sorted(detections, key=lambda d: -d['score'])
    ious = _ious(detections)
    kept = []
    for i in range(len(detections)):
        if all(ious[i, j] <= iou for j in kept):
            kept.append(i)
    return [detections[i] for i in kept]


def front_boxes(annotations, iou=GROUP_IOU):
    """The box of the most visible person of every group of overlapping boxes.

    A group is connected by box IoU of at least ``iou``. Every other person of the
    group can be found only from that box.
    """
    ious = _ious(annotations)
    group = list(range(len(annotations)))
    for i in range(len(group)):
        for j in range(i):
            if ious[i, j] >= iou:
                group = [group[j] if g == group[i] else g for g in group]
    kept = []
    for name in sorted(set(group)):
        members = [a for a, g in zip(annotations, group) if g == name]
        front = max(members, key=lambda a: a['visible_fraction'])
        kept.append(dict(bbox=front['bbox'], score=1.0))
    return kept


def _make(index, folder, detector_nms, seed, size, **of_set):
    """Draw and write one picture (in a worker process)."""
    made = scene.generate_image(seed, index, size=size, **of_set)
    image, annotations, crowding = made
    name, quality = f'{index:06d}.jpg', 80 + (index * 7 + seed) % 16
    _, data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    (folder / name).write_bytes(data)
    rng = np.random.default_rng([seed, index, 1])
    found = suppress(simulate_detector(rng, annotations, size), detector_nms)
    entry = dict(id=index, file_name=name, width=size[0], height=size[1])
    entry['crowdIndex'] = round(crowding, 4)
    return entry, annotations, found, front_boxes(annotations)


def _start_worker():
    """End with a parent that is killed; it would wait for work for ever."""

    def wait():
        multiprocessing.parent_process().join()
        os._exit(1)

    cv2.setNumThreads(1)
    threading.Thread(target=wait, daemon=True).start()


def _results(make, images, workers):
    """What ``make`` returns of each picture, in order."""
    if workers <= 1:
        yield from map(make, range(images))
        return
    context = multiprocessing.get_context('spawn')
    # Unlike multiprocessing.Pool it raises, and does not hang, when a worker dies.
    pool = ProcessPoolExecutor(workers, context, _start_worker)
    try:
        # workers are born without Ctrl-C; it waits for the parent, which reports it
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            results = pool.map(make, range(images), chunksize=4)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        yield from results
    finally:  # nobody waits for the pictures that are not begun
        pool.shutdown(cancel_futures=True)


def _read_info(path):
    """The ``info`` of our own file at ``path``, or None."""
    try:
        info = json.loads(path.read_text())['info']
        return info if info['description'] == DESCRIPTION else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_there(out, info):
    """Whether the same set is there as a whole; if not, make room for it.

    Raises:
        FileExistsError: If files of our names are not ours; they are left alone.
    """
    marker, tables = out / _MARKER, [out / name for name in _TABLES]
    names = [f'images/{i:06d}.jpg' for i in range(info['images'])]
    there = _read_info(tables[-1])
    if there == info and not marker.exists():
        if all((out / name).is_file() for name in (*names, *_TABLES)):
            return True
    old = [*filter(Path.exists, tables), *out.glob(f'images/{"[0-9]" * 6}.jpg')]
    if old and not (there or _read_info(marker)):
        raise FileExistsError(
            f'{old[0]} exists and was not made by this generator; give another folder'
        )
    marker.write_text(json.dumps(dict(info=info)))
    for path in old:
        path.unlink()
    return False


def generate(
    out_dir,
    images,
    seed,
    *,
    persons=(2, 3),
    overlap=(0.1, 0.8),
    size=(320, 240),
    detector_nms=NMS_IOU,
    workers=1,
):
    """Write ``images`` pictures of crowds and their annotations to ``out_dir``.

    ``images/000000.jpg`` and so on, ``annotations.json`` (COCO), ``detections.json``
    and ``one_box_per_pair.json`` (MMPose's ``bbox_file``). The arguments are the
    options of the command. The bytes depend on them alone, not on ``workers``. A
    complete set made with the same arguments is left as it is.

    Returns:
        dict: ``reused`` (bool) and ``missed``, the number of pictures whose closest
        pair is outside the asked range.

    Raises:
        OSError: If ``out_dir`` cannot be written or holds other files of our names.
        concurrent.futures.process.BrokenProcessPool: If a worker process died.
    """
    out, overlap = Path(out_dir), tuple(map(float, overlap))
    info = dict(
        description=DESCRIPTION,
        version=VERSION,
        seed=seed,
        images=images,
        persons=list(persons),
        overlap=list(overlap),
        size=list(size),
        detector_nms_iou=float(detector_nms),
        group_iou=GROUP_IOU,
    )
    (out / 'images').mkdir(parents=True, exist_ok=True)
    if _is_there(out, info):
        coco = json.loads((out / _TABLES[-1]).read_text())
        return dict(reused=True, missed=_count_missed(coco, overlap))
    of_set = dict(seed=seed, persons=persons, overlap=overlap, size=size)
    make = partial(_make, folder=out / 'images', detector_nms=detector_nms, **of_set)
    category = dict(id=1, name='person', supercategory='person')
    category.update(keypoints=list(body.KEYPOINTS), skeleton=SKELETON)
    coco = dict(info=info, images=[], annotations=[], categories=[category])
    detections, fronts = [], []
    with contextlib.closing(_results(make, images, min(workers, images))) as results:
        bar = tqdm(results, 'images', images, unit='image')
        for entry, annotations, found, front in bar:
            coco['images'].append(entry)
            link = dict(image_id=entry['id'], category_id=1)
            for annotation in annotations:
                ids = dict(id=len(coco['annotations']) + 1, image_id=entry['id'])
                coco['annotations'].append(dict(ids, **annotation))
            detections += [dict(link, **d) for d in found]
            fronts += [dict(link, **d) for d in front]
    for name, table in zip(_TABLES, (detections, fronts, coco)):
        (out / name).write_text(json.dumps(table) + '\n')
    (out / _MARKER).unlink()  # a set is whole without it
    return dict(reused=False, missed=_count_missed(coco, overlap))


def _count_missed(coco, overlap):
    """Pictures of two people or more whose closest pair misses the range."""
    closest = {}
    for annotation in coco['annotations']:
        closest.setdefault(annotation['image_id'], []).append(annotation['max_iou'])
    return sum(
        len(ious) > 1 and not scene.in_range(max(ious), overlap)
        for ious in closest.values()
    )
