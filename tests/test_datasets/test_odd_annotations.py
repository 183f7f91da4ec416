"""Annotation files as they should not be: right targets, or an error with the file."""

import contextlib
import copy
import io
import json

import cv2
import mmpose
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mmengine.utils import digit_version
from mmpose.registry import DATASETS

from ..conftest import coco_dataset_config, person, train_pipeline
from ..test_properties import cases

NAN, HUGE = float('nan'), 1e12
SIZE = np.array([96, 128])  # of the crop


def spoil(annotation, **changes):
    """Another annotation; ``None`` takes a field away."""
    annotation = dict(copy.deepcopy(annotation), **changes)
    return {key: value for key, value in annotation.items() if value is not None}


def with_keypoints(annotation, rows, values):
    keypoints = np.reshape(annotation['keypoints'], (17, 3)).astype(float)
    keypoints[rows] = values
    return keypoints.ravel().tolist()


ODD = {
    'as it should be': lambda a: a,
    'no box': lambda a: spoil(a, bbox=None),
    'no keypoints': lambda a: spoil(a, keypoints=None),
    'nothing labelled': lambda a: spoil(a, keypoints=[0] * 51, num_keypoints=0),
    'three labelled': lambda a: spoil(a, keypoints=with_keypoints(a, slice(3, 17), 0)),
    'hidden': lambda a: spoil(
        a, keypoints=a['keypoints'][:2] + [1] + a['keypoints'][3:]
    ),
    'huge keypoint': lambda a: spoil(a, keypoints=with_keypoints(a, 0, (HUGE, 5, 2))),
    'negative size': lambda a: spoil(a, bbox=[*a['bbox'][:2], -5, 40]),
    'no area': lambda a: spoil(a, bbox=[*a['bbox'][:2], 0, 40], area=0),
    'outside': lambda a: spoil(a, bbox=[900, 900, 40, 40]),
    'leaves the image': lambda a: spoil(a, bbox=[120, 80, 400, 300]),
    'infinite': lambda a: spoil(a, bbox=[*a['bbox'][:3], float('inf')]),
    'crowd': lambda a: spoil(a, iscrowd=1),
    'no crowd flag': lambda a: spoil(a, iscrowd=None),
    'no area given': lambda a: spoil(a, area=None),
    'no count': lambda a: spoil(a, num_keypoints=None),
    'no such image': lambda a: spoil(a, image_id=99),
}


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('odd')
    rng = np.random.default_rng(0)
    for image in (1, 2):
        pixels = rng.integers(0, 255, (120, 160, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f'{image:06d}.png'), pixels)
    return folder


def build(folder, annotations, num_instances=None):
    images = [
        dict(id=i, file_name=f'{i:06d}.png', width=160, height=120) for i in (1, 2)
    ]
    content = dict(images=images, annotations=annotations)
    content['categories'] = [dict(id=1, name='person')]
    (folder / 'annotations.json').write_text(json.dumps(content))
    dataset = coco_dataset_config(folder, train_pipeline(augment=False))
    if num_instances:
        dataset = dict(type='MultiInstanceDataset', dataset=dataset)
        dataset['num_instances'] = num_instances
    with contextlib.redirect_stdout(io.StringIO()):
        dataset = DATASETS.build(dataset)
        dataset.full_init()
    return dataset


def plain_siblings(person, people, meta):
    """Who is learnt beside a person, by loops; None where rounding decides."""
    corner = np.array(meta['input_center']) - np.array(meta['input_scale']) / 2
    left, top, right, bottom = person['bbox'][0]
    siblings = []
    for other in people:
        if other is person or other['img_path'] != person['img_path']:
            continue
        labelled = inside = 0
        for xy, seen in zip(other['keypoints'][0], other['keypoints_visible'][0]):
            if not np.max(seen) > 0:
                continue
            labelled += 1
            place = (xy - corner) / meta['input_scale'] * SIZE
            if np.abs([place, place - SIZE]).min() < 1e-2:
                return None
            inside += bool((place >= 0).all() and (place < SIZE).all())
        if labelled >= 4 and inside >= 4:
            x1, y1, x2, y2 = other['bbox'][0]
            distance = np.hypot(x1 + x2 - left - right, y1 + y2 - top - bottom)
            siblings.append((distance, len(siblings), other))
    return [other for _, _, other in sorted(siblings, key=lambda item: item[:2])]


@pytest.mark.slow
@cases(60)
@given(
    st.lists(st.sampled_from(sorted(ODD)), min_size=1, max_size=5),
    st.integers(0, 2**32 - 1),
    st.integers(1, 4),
)
def test_targets_are_those_of_a_plain_loop(folder, kinds, seed, num_instances):
    rng = np.random.default_rng(seed)
    annotations = []
    for number, kind in enumerate(kinds, 1):
        place = rng.uniform(0, (90, 60)).tolist()
        size = rng.uniform(20, 60, 2).tolist()
        image = int(rng.integers(1, 3))
        annotations.append(
            ODD[kind](person(number, image, *place, *size, seed=seed % 99))
        )
    try:
        stock = build(folder, annotations)
    except ValueError:  # nobody is left
        with pytest.raises(ValueError, match='annotations.json'):
            build(folder, annotations, num_instances)
        return
    people = [stock.get_data_info(i) for i in range(len(stock))]
    dataset = build(folder, annotations, num_instances)
    assert len(dataset) == len(stock)
    for i, one in enumerate(people):
        sample = dataset[i]['data_samples']
        siblings = plain_siblings(one, people, sample.metainfo)
        if siblings is None:
            continue
        expected = [k if k <= len(siblings) else 0 for k in range(num_instances)]
        assert sample.gt_instances.target_instances[0].tolist() == expected
        heatmaps = sample.gt_fields.heatmaps.reshape(num_instances, 17, 32, 24)
        assert heatmaps.isfinite().all()
        weights = sample.gt_instance_labels.keypoint_weights
        corner = sample.input_center - sample.input_scale / 2
        for k, learnt in enumerate(expected):
            target = siblings[learnt - 1] if learnt else one
            places = (target['keypoints'][0] - corner) / sample.input_scale * SIZE / 4
            for j in np.flatnonzero(weights[k] > 0):
                y, x = np.divmod(heatmaps[k, j].argmax().item(), 24)
                if (np.abs(places[j] - (12, 16)) < (7, 11)).all():
                    assert np.abs(places[j] - (x, y)).max() < 0.6


GOOD = person(1, 1, 10, 10, 60, 80)
BAD = person(2, 1, 30, 12, 60, 80)


@pytest.mark.parametrize(
    'changes, message',
    [
        (dict(keypoints=BAD['keypoints'][:50]), 'id 2: keypoints has 50 numbers'),
        (dict(keypoints=BAD['keypoints'][:48]), 'id 2: keypoints has 48 numbers'),
        (dict(keypoints=['a'] * 51), 'id 2: keypoints is .*expected 51 numbers'),
        (dict(keypoints=[NAN, NAN, 0] * 17), 'id 2: keypoints has NaN'),
        (dict(bbox=[1, 2, 3]), 'id 2: bbox has 3 numbers, expected 4'),
        (dict(bbox=[NAN, 2, 30, 40]), 'id 2: bbox has NaN'),
        (dict(id=1), 'annotations has id 1 2 times, of 1, 1'),
        (dict(id=None), r'annotations\[1\] has no id'),
        (dict(image_id='1'), r"annotations\[1\], id 2: image_id is '1' \(str\)"),
        (dict(image_id=None), r'annotations\[1\], id 2 has no image_id'),
        (dict(category_id=None), r'annotations\[1\], id 2 has no category_id'),
        (dict(iscrowd='0'), r"annotations\[1\], id 2: iscrowd is '0'"),
    ],
)
def test_what_cannot_be_read_is_named_with_its_file(folder, changes, message):
    with pytest.raises(ValueError, match=f'annotations.json.*{message}'):
        build(folder, [GOOD, spoil(BAD, **changes)], 2)


def test_three_hundred_people_in_an_image(folder):
    rng = np.random.default_rng(0)
    people = [
        person(i, 1, *rng.uniform(0, 90, 2).tolist(), 30, 30) for i in range(1, 301)
    ]
    dataset = build(folder, people, 8)
    found = dataset[0]['data_samples'].gt_instances.target_instances[0]
    assert found.tolist() == list(range(8))


def test_a_missing_image_is_named(folder):
    (folder / '000002.png').rename(folder / 'away.png')
    try:
        dataset = build(folder, [spoil(GOOD, image_id=2)], 2)
        with pytest.raises(FileNotFoundError, match='000002.png'):
            dataset[0]
    finally:
        (folder / 'away.png').rename(folder / '000002.png')


@pytest.mark.parametrize('size', [0, 20])
def test_a_truncated_image_is_named(folder, size):
    if size == 0 and digit_version(mmpose.__version__) < digit_version('1.2'):
        pytest.skip('LoadImage of MMPose 1.1 does not name it')
    name = folder / '000002.png'
    content = name.read_bytes()
    name.write_bytes(content[:size])
    try:
        dataset = build(folder, [spoil(GOOD, image_id=2)], 2)
        with pytest.raises(Exception, match='000002.png'):
            dataset[0]
    finally:
        name.write_bytes(content)
