"""Synthetic crowds: the files, the overlap, who is seen, the simulated detector."""

import json
import os
import signal
import subprocess
import sys
import time
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest
from mmpose.registry import DATASETS
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from synthcrowd import body, generate, generate_image, render
from synthcrowd.dataset import simulate_detector, suppress
from synthcrowd.scene import crowd_index

from .conftest import REPO, coco_dataset_config

TOOL = REPO / 'tools' / 'synthcrowd.py'


def run_tool(*args):
    command = [sys.executable, str(TOOL), *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope='module')
def crowd(tmp_path_factory):
    """A set of 24 pictures, made by the tool with two workers."""
    out = tmp_path_factory.mktemp('crowd') / 'set'
    args = ('--overlap', '0.3-0.7', '--persons', '2-4', '--workers', 2)
    done = run_tool(out, '--images', 24, '--seed', 3, *args)
    assert done.returncode == 0, done.stderr
    return out


@pytest.fixture(scope='module')
def coco(crowd):
    return json.loads((crowd / 'annotations.json').read_text())


def by_image(entries):
    groups = {}
    for entry in entries:
        groups.setdefault(entry['image_id'], []).append(entry)
    return groups


def iou(first, second):
    """IoU of two x, y, w, h boxes."""
    return coco_mask.iou([first], [second], [0]).item()


def closest(annotations):
    return max(iou(a['bbox'], b['bbox']) for a, b in combinations(annotations, 2))


def polygon_mask(annotation, size, zoom=4):
    mask = np.zeros((size[1] * zoom, size[0] * zoom), np.uint8)
    for polygon in annotation['segmentation']:
        points = np.round(np.reshape(polygon, (-1, 2)) * zoom).astype(np.int32)
        cv2.fillPoly(mask, [points], 1)
    return mask


def standing_person(yaw, seed=0):
    person = body.sample_person(np.random.default_rng(seed), 'stand', yaw)
    person.pose['neck'] = person.pose['spine'] = (0, 0, 0)
    person.pose['root'] = (0, 0)
    for side in body.SIDES:
        person.pose[f'{side}_arm'] = (0, 12, 0, 5)
        person.pose[f'{side}_leg'] = (0, 4, 0, 0)
    return person


@pytest.mark.slow
def test_same_seed_same_bytes_with_one_and_two_workers(tmp_path):
    files = []
    for workers in (1, 2):
        out = tmp_path / str(workers)
        args = ('--images', 6, '--seed', 5, '--size', '160x128', '--workers', workers)
        assert run_tool(out, *args).returncode == 0
        there = sorted(path for path in out.rglob('*') if path.is_file())
        files.append({path.relative_to(out): path.read_bytes() for path in there})
    assert files[0] == files[1] and len(files[0]) == 9


def test_closest_pair_lies_in_the_asked_range(coco):
    groups = by_image(coco['annotations']).values()
    overlaps = [closest(group) for group in groups]
    assert len(overlaps) == 24
    assert min(overlaps) >= 0.3 and max(overlaps) <= 0.7
    assert np.ptp(overlaps) > 0.2  # spread over the range, not one value
    stated = [max(person['max_iou'] for person in group) for group in groups]
    np.testing.assert_allclose(stated, overlaps, atol=1e-4)


def test_zero_overlap_keeps_people_apart():
    settings = dict(persons=(3, 3), overlap=(0, 0), size=(240, 160))
    for index in range(4):
        _, annotations, _ = generate_image(2, index, **settings)
        assert len(annotations) == 3 and closest(annotations) == 0
        assert all(a['visible_fraction'] == 1 for a in annotations)


def test_boxes_bound_keypoints_and_lie_in_the_image(coco):
    for annotation in coco['annotations']:
        x, y, w, h = annotation['bbox']
        assert 0 <= x < x + w <= 320 and 0 <= y < y + h <= 240
        joints = np.reshape(annotation['keypoints'], (17, 3))
        assert annotation['num_keypoints'] == (joints[:, 2] > 0).sum()
        assert not joints[joints[:, 2] == 0].any()
        joints = joints[joints[:, 2] > 0, :2]
        assert (joints >= (x - 1, y - 1)).all()
        assert (joints <= (x + w + 1, y + h + 1)).all()
        for polygon in annotation['segmentation']:
            points = np.reshape(polygon, (-1, 2))
            assert (points >= 0).all() and (points <= (320, 240)).all()


def test_seen_joints_are_on_their_person_and_covered_ones_are_hidden(coco):
    """Against the polygons of what is visible, not the renderer's buffers."""
    seen = covered = 0
    for group in by_image(coco['annotations']).values():
        masks = [polygon_mask(a, (320, 240)) for a in group]
        inner = [cv2.erode(m, np.ones((9, 9), np.uint8)) for m in masks]
        outer = [cv2.dilate(m, np.ones((9, 9), np.uint8)) for m in masks]
        for number, annotation in enumerate(group):
            for x, y, v in np.reshape(annotation['keypoints'], (17, 3)):
                at = int(y * 4), int(x * 4)
                if v == 2:
                    seen += 1
                    assert outer[number][at]
                elif v == 1 and not outer[number][at]:
                    covered += 1
                # Filled outlines ignore holes, so a pixel can be in two of them.
                others = [m[at] for k, m in enumerate(inner) if k != number]
                if any(others) and not outer[number][at]:
                    assert v == 1
    assert seen > 300 and covered > 50


@pytest.mark.parametrize('yaw, sign', [(0, 1), (180, -1)])
def test_left_joints_are_on_the_right_of_a_person_who_faces_us(yaw, sign):
    figure = render.project(standing_person(yaw), render.camera_matrix(5), 100)
    for k, name in enumerate(body.KEYPOINTS):
        if name.startswith('left'):
            assert sign * (figure.joints[k, 0] - figure.joints[k + 1, 0]) > 0, name


def test_crowd_index_is_that_of_crowdpose():
    def person(bbox, *points):
        joints = np.zeros((17, 3))
        joints[: len(points), :2] = points
        joints[: len(points), 2] = 2
        return dict(bbox=bbox, keypoints=joints.ravel().tolist())

    left = person([0, 0, 10, 10], (2, 2), (8, 8))
    right = person([6, 0, 10, 10], (7, 7), (12, 2), (14, 9))
    # One of three joints of `right` in `left`'s box (1/2), one of two back (1/3).
    assert crowd_index([left, right]) == pytest.approx((1 / 2 + 1 / 3) / 2)
    assert crowd_index([left]) == 0


def test_detector_loses_overlapped_people_and_keeps_isolated_ones(coco, crowd):
    rng = np.random.default_rng(0)
    front = dict(bbox=[50, 40, 60, 150], visible_fraction=1.0)
    behind = dict(bbox=[56, 42, 60, 150], visible_fraction=0.4)
    alone = dict(bbox=[200, 40, 60, 150], visible_fraction=1.0)
    left = right = 0
    for _ in range(100):
        raw = simulate_detector(rng, [front, behind, alone], (320, 240))
        for detection in suppress(raw):
            left += iou(detection['bbox'], front['bbox']) > 0.6
            right += iou(detection['bbox'], alone['bbox']) > 0.6
    assert right > 90 and left < 120  # 200 boxes without suppression

    found = by_image(json.loads((crowd / 'detections.json').read_text()))
    assert sum(map(len, found.values())) < len(coco['annotations'])
    for group in found.values():
        assert len(group) < 2 or closest(group) <= 0.5
        for entry in group:
            assert set(entry) == {'image_id', 'category_id', 'bbox', 'score'}
            assert entry['category_id'] == 1 and 0 < entry['score'] < 1


def test_one_box_per_group_is_the_front_persons(coco, crowd):
    fronts = by_image(json.loads((crowd / 'one_box_per_pair.json').read_text()))
    for image_id, group in by_image(coco['annotations']).items():
        kept = fronts[image_id]
        assert len(kept) < len(group)
        assert all(entry['score'] == 1 for entry in kept)
        assert len(kept) < 2 or closest(kept) < 0.3
        for person in group:
            if person['max_iou'] < 0.3:
                assert person['bbox'] in [entry['bbox'] for entry in kept]


def test_set_loads_in_mmpose(crowd, coco):
    cfg = coco_dataset_config(crowd, [])
    dataset = DATASETS.build(dict(cfg, data_prefix=dict(img='images/')))
    assert len(dataset) == len(coco['annotations'])
    assert Path(dataset[0]['img_path']).is_file()
    annotation = coco['annotations'][0]
    mask = COCO(str(crowd / 'annotations.json')).annToMask(annotation)
    assert mask.shape == (240, 320)
    expected = annotation['visible_fraction'] * annotation['area']
    assert mask.sum() == pytest.approx(expected, rel=0.15)


def test_complete_set_is_reused_and_a_damaged_one_made_anew(tmp_path):
    kwargs = dict(size=(96, 64))
    assert not generate(tmp_path, 3, 1, **kwargs)['reused']
    picture = tmp_path / 'images' / '000002.jpg'
    before = picture.read_bytes()
    assert generate(tmp_path, 3, 1, **kwargs)['reused']
    picture.unlink()
    assert not generate(tmp_path, 3, 1, **kwargs)['reused']
    assert picture.read_bytes() == before
    assert not generate(tmp_path, 2, 1, **kwargs)['reused']
    assert sorted(os.listdir(tmp_path / 'images')) == ['000000.jpg', '000001.jpg']


@pytest.mark.slow
@pytest.mark.parametrize('interrupt', [False, True], ids=['killed', 'Ctrl-C'])
def test_an_end_in_between_leaves_no_process_behind(tmp_path, interrupt):
    command = [sys.executable, str(TOOL), str(tmp_path), '--images', '100000']
    process = subprocess.Popen(
        [*command, '--workers', '2'],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while process.poll() is None and not list(tmp_path.glob('images/*')):
        time.sleep(0.05)
    assert process.poll() is None, process.stderr.read()
    if interrupt:
        os.killpg(process.pid, signal.SIGINT)
    else:
        process.kill()
    # ends when nobody holds the pipes any more
    _, errors = process.communicate(timeout=60)
    if interrupt:
        assert process.returncode == 130 and 'Traceback' not in errors
        assert errors.splitlines()[-1].startswith('interrupted')
    assert not (tmp_path / 'annotations.json').exists()


def test_files_of_others_are_left_alone(tmp_path):
    (tmp_path / 'annotations.json').write_text('{"images": []}')
    (tmp_path / 'notes.txt').write_text('mine')
    with pytest.raises(FileExistsError, match='not made by this generator'):
        generate(tmp_path, 1, 0)
    assert (tmp_path / 'annotations.json').read_text() == '{"images": []}'
    (tmp_path / 'annotations.json').unlink()
    generate(tmp_path, 1, 0, size=(96, 64))
    assert (tmp_path / 'notes.txt').read_text() == 'mine'


def test_bad_option_is_named(tmp_path):
    for option, value in (('--persons', '4-1'), ('--size', '10x10')):
        done = run_tool(tmp_path / 'out', '--images', 1, option, value)
        assert done.returncode == 2 and not (tmp_path / 'out').exists()
        assert f'argument {option}: ' in done.stderr and value in done.stderr
