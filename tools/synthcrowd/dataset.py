"""A data set of synthetic crowds on disk, in COCO's format."""

import contextlib
import json
import multiprocessing
import os
import re
import signal
import sys
import threading
from concurrent.futures import ProcessPoolExecutor

import cv2
import numpy as np

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
# Renamed into place last: a set is complete when the annotations are there.
_TABLES = ('detections.json', 'one_box_per_pair.json', 'annotations.json')
_MARKER = '.synthcrowd-incomplete'


def simulate_detector(rng, annotations, size):
    """Boxes a person detector might give for one picture, before NMS.

    Args:
        rng (numpy.random.Generator): Source of randomness.
        annotations (list[dict]): The picture's persons.
        size (tuple[int, int]): Width and height of the picture.

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


def _corners(bboxes):
    boxes = np.array(bboxes, float).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], 1)


def suppress(detections, iou=NMS_IOU):
    """Greedy box NMS: best score first, boxes over ``iou`` with a kept one go."""
    detections = sorted(detections, key=lambda d: -d['score'])
    ious = scene.box_ious(*[_corners([d['bbox'] for d in detections])] * 2)
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
    ious = scene.box_ious(*[_corners([a['bbox'] for a in annotations])] * 2)
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


def _write(path, data):
    """Write bytes so that ``path`` never holds half of them."""
    part = f'{path}.part'
    with open(part, 'wb') as stream:
        stream.write(data)
    os.replace(part, path)


def _make(job):
    """Draw and write one picture (in a worker process)."""
    folder, seed, index, persons, overlap, size, detector_nms = job
    image, annotations, crowding = scene.generate_image(
        seed, index, persons=persons, overlap=overlap, size=size
    )
    quality = 80 + (index * 7 + seed) % 16
    _, data = cv2.imencode('.jpg', image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    name = f'{index:06d}.jpg'
    _write(os.path.join(folder, name), data.tobytes())
    rng = np.random.default_rng([seed, index, 1])
    found = suppress(simulate_detector(rng, annotations, size), detector_nms)
    entry = dict(
        id=index,
        file_name=name,
        width=size[0],
        height=size[1],
        crowdIndex=round(crowding, 4),
    )
    return entry, annotations, found, front_boxes(annotations)


def _start_worker():
    end_with_parent()
    cv2.setNumThreads(1)


def end_with_parent():
    """End this worker when its parent is killed; it would wait for work for ever."""

    def wait():
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _results(jobs, workers):
    if workers <= 1:
        threads = cv2.getNumThreads()
        cv2.setNumThreads(1)
        try:
            yield from map(_make, jobs)
        finally:
            cv2.setNumThreads(threads)
        return
    context = multiprocessing.get_context('spawn')
    # Unlike multiprocessing.Pool it raises, and does not hang, when a worker dies.
    pool = ProcessPoolExecutor(workers, context, _start_worker)
    try:
        # workers are born without Ctrl-C; it waits for the parent, which reports it
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
        try:
            results = pool.map(_make, jobs, chunksize=4)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        yield from results
    finally:  # nobody waits for the pictures that are not begun
        pool.shutdown(cancel_futures=True)


def _progress(results, total):
    """Pass ``results`` on and draw a bar on stderr, on terminals and in logs."""
    live, shown = sys.stderr.isatty(), -1
    for done, result in enumerate(results, 1):
        yield result
        percent = 100 * done // total
        if percent != shown and (live or percent // 10 != shown // 10):
            shown = percent
            bar = ('#' * (percent // 4)).ljust(25, '.')
            line = f'[{bar}] {done}/{total} images'
            print(line, end='\r' if live and done < total else '\n', file=sys.stderr)


def _read_info(path):
    """The ``info`` of our own file at ``path``, or None."""
    try:
        with open(path, encoding='utf-8') as stream:
            info = json.load(stream)['info']
        return info if info['description'] == DESCRIPTION else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_complete(out_dir, images):
    """Whether every file of a set is there (unfinished ones have other names)."""
    names = [f'images/{i:06d}.jpg' for i in range(images)] + list(_TABLES)
    return all(os.path.isfile(os.path.join(out_dir, n)) for n in names)


def _clear(out_dir, folder):
    """Remove what an earlier run of ours left; refuse to touch anything else.

    Raises:
        FileExistsError: If files of the same names are not ours.
    """
    marker = os.path.join(out_dir, _MARKER)
    tables = [os.path.join(out_dir, name) for name in _TABLES]
    pictures = [
        os.path.join(folder, name)
        for name in sorted(os.listdir(folder))
        if re.fullmatch(r'[0-9]{6,}\.jpg(\.part)?', name)
    ]
    present = [p for p in tables[::-1] + pictures if os.path.lexists(p)]
    ours = _read_info(tables[-1]) or _read_info(marker)
    if present and not ours:
        raise FileExistsError(
            f'{present[0]} exists and was not made by this generator; '
            'give another folder'
        )
    return present


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
    progress=True,
):
    """Write ``images`` pictures of crowds and their annotations to ``out_dir``.

    ``images/000000.jpg`` and so on, ``annotations.json`` (COCO), ``detections.json``
    and ``one_box_per_pair.json`` (MMPose's ``bbox_file``). The bytes depend on the
    arguments alone, not on ``workers``. A complete set made with the same arguments
    is left as it is.

    Args:
        out_dir (str): Folder, made if missing.
        images (int): Number of pictures.
        seed (int): Not negative.
        persons (tuple[int, int]): Fewest and most people in a picture.
        overlap (tuple[float, float]): Range of the box IoU of the closest pair.
        size (tuple[int, int]): Width and height in pixels.
        detector_nms (float): Box IoU of the simulated detector's NMS; 1 keeps all.
        workers (int): Processes.
        progress (bool): Draw a bar on stderr.

    Returns:
        dict: ``reused`` (bool) and ``missed``, the number of pictures whose closest
        pair is outside the asked range.

    Raises:
        OSError: If ``out_dir`` cannot be written or holds other files of our names.
        concurrent.futures.process.BrokenProcessPool: If a worker process died.
    """
    images, seed = int(images), int(seed)
    persons, size = tuple(map(int, persons)), tuple(map(int, size))
    overlap, detector_nms = tuple(map(float, overlap)), float(detector_nms)
    info = dict(
        description=DESCRIPTION,
        version=VERSION,
        seed=seed,
        images=images,
        persons=list(persons),
        overlap=list(overlap),
        size=list(size),
        detector_nms_iou=detector_nms,
        group_iou=GROUP_IOU,
    )
    folder = os.path.join(out_dir, 'images')
    if os.path.islink(folder):
        raise FileExistsError(f'{folder} is a link; give another folder')
    os.makedirs(folder, exist_ok=True)
    marker, final = (os.path.join(out_dir, n) for n in (_MARKER, _TABLES[-1]))
    if (
        _read_info(final) == info
        and not os.path.exists(marker)
        and _is_complete(out_dir, images)
    ):
        with open(final, encoding='utf-8') as stream:
            return dict(reused=True, missed=_count_missed(json.load(stream), overlap))
    stale = _clear(out_dir, folder)
    _write(marker, json.dumps(dict(info=info)).encode())
    for path in stale:
        os.remove(path)

    jobs = [
        (folder, seed, i, persons, overlap, size, detector_nms) for i in range(images)
    ]
    results = _results(jobs, min(workers, images))
    coco = dict(info=info, images=[], annotations=[], categories=[_category()])
    detections, fronts = [], []
    with contextlib.closing(results):
        for entry, annotations, found, front in (
            _progress(results, images) if progress else results
        ):
            coco['images'].append(entry)
            link = dict(image_id=entry['id'], category_id=1)
            for annotation in annotations:
                number = len(coco['annotations']) + 1
                coco['annotations'].append(
                    dict(id=number, image_id=entry['id'], **annotation)
                )
            detections += [dict(link, **d) for d in found]
            fronts += [dict(link, **d) for d in front]
    for name, table in zip(_TABLES, (detections, fronts, coco)):
        _write(os.path.join(out_dir, name), (json.dumps(table) + '\n').encode())
    os.remove(marker)
    return dict(reused=False, missed=_count_missed(coco, overlap))


def _category():
    return dict(
        id=1,
        name='person',
        supercategory='person',
        keypoints=list(body.KEYPOINTS),
        skeleton=SKELETON,
    )


def _count_missed(coco, overlap):
    """Pictures of two people or more whose closest pair misses the range."""
    closest = {}
    for annotation in coco['annotations']:
        closest.setdefault(annotation['image_id'], []).append(annotation['max_iou'])
    return sum(
        len(ious) > 1 and not scene.in_range(max(ious), overlap)
        for ious in closest.values()
    )
