"""Targets of the person and of the sibling are where the pixels went.

Each pixel of the training image holds its own place: x in the first channel, y in the
second. So a pixel of the crop says where in the image it comes from.
"""

import cv2
import numpy as np
import pytest
from mmcv.transforms import BaseTransform
from mmpose.registry import DATASETS

from ..conftest import coco_dataset_config, person
from .test_multi_instance_dataset import REGRESSION, SIMCC, order_of, targets, wrap

PEOPLE = [person(1, 1, 40, 30, 50, 60), person(2, 1, 50, 35, 50, 60)]
WIDTH, HEIGHT = 160, 120
CROP = (96, 128)
SWAPPED = [0, *(i + 1 if i % 2 else i - 1 for i in range(1, 17))]  # COCO's left, right
LOAD, BOX, PACK = (
    dict(type=name) for name in ('LoadImage', 'GetBBoxCenterScale', 'PackPoseInputs')
)
WIDE = dict(BOX, padding=1.7)
AFFINE = dict(type='TopdownAffine', input_size=CROP)
TARGET = dict(type='GenerateTarget', encoder=REGRESSION)
END = [AFFINE, TARGET, PACK]
ROTATED = dict(type='RandomBBoxTransform', rotate_prob=1.0, scale_factor=(0.8, 1.2))
HALF_BODY = dict(type='RandomHalfBody', prob=1.0)


def flip(direction, prob=1.0):
    return dict(type='RandomFlip', direction=direction, prob=prob)


@pytest.fixture
def folder(coco_folder):
    folder = coco_folder(PEOPLE)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    pixels = np.stack([x, y, np.full_like(x, 255)], axis=2)
    cv2.imwrite(str(folder / '000001.png'), pixels.astype(np.uint8))
    return folder


def largest_distance(sample, people):
    """Pixels of the image between each person's keypoints and what its target shows."""
    crop = sample['inputs'].permute(1, 2, 0).numpy().astype(np.float32)
    middle = crop[CROP[1] // 2, CROP[0] // 2, :2]
    right = crop[CROP[1] // 2, CROP[0] // 2 + 10, :2] - middle
    down = crop[CROP[1] // 2 + 10, CROP[0] // 2, :2] - middle
    mirrored = right[0] * down[1] - right[1] * down[0] < 0
    labels = sample['data_samples'].gt_instance_labels
    placed = labels.keypoint_labels.numpy() * np.array(CROP, np.float32)
    found = cv2.remap(crop, placed.astype(np.float32), None, cv2.INTER_LINEAR)
    inside = found[..., 2] > 254
    distances = []
    for i, who in enumerate(people):
        keypoints = np.reshape(who['keypoints'], (17, 3))[:, :2]
        expected = keypoints[SWAPPED] if mirrored else keypoints
        distance = np.linalg.norm(found[i, :, :2] - expected, axis=1)[inside[i]]
        assert len(distance) >= 8
        distances.append(distance.max())
    return max(distances)


def check(dataset, seeds=range(6)):
    for seed in seeds:
        for index in range(len(dataset)):
            np.random.seed(seed)
            sample = dataset[index]
            assert order_of(sample) == [0, 1]
            order = PEOPLE if index % 2 == 0 else PEOPLE[::-1]
            assert largest_distance(sample, order) < 1.5


class Shift(BaseTransform):
    """As a user would write it."""

    def transform(self, results):
        matrix = np.array([[1, 0, 20], [0, 1, -7]], np.float32)
        results['img'] = cv2.warpAffine(results['img'], matrix, (WIDTH, HEIGHT))
        results['keypoints'] = results['keypoints'] + [20, -7]
        results['bbox'] = results['bbox'] + [20, -7, 20, -7]
        return results


class Crop(BaseTransform):
    """Not MMPose's ``TopdownAffine``, and without recording what it does."""

    def transform(self, results):
        x, y = results['bbox'][0, :2].astype(int) - 10
        image = results['img'][y : y + CROP[1], x : x + CROP[0]]
        padding = [(0, CROP[1] - image.shape[0]), (0, CROP[0] - image.shape[1]), (0, 0)]
        results['img'] = np.pad(image, padding)
        results['transformed_keypoints'] = results['keypoints'] - [x, y]
        results['input_size'] = CROP
        return results


class AnotherDict(BaseTransform):
    def transform(self, results):
        return {key: value for key, value in results.items() if key != 'siblings'}


def shift(results):
    return Shift()(results)


APPLIED = dict(type='RandomApply', prob=0.5, transforms=[flip('horizontal')])
MOVERS = ['Shift', 'shift', Crop]
RIGHT = dict(
    horizontal=[LOAD, WIDE, flip('horizontal', 0.5), *END],
    diagonal=[LOAD, WIDE, flip('diagonal'), *END],
    flip_before_the_box=[LOAD, flip('horizontal'), WIDE, *END],
    two_flips=[LOAD, WIDE, flip('horizontal'), flip('vertical', 0.5), *END],
    directions=[LOAD, WIDE, flip(['horizontal', 'diagonal'], [0.5, 0.4]), *END],
    rotated=[LOAD, WIDE, flip('horizontal', 0.5), ROTATED, *END],
    udp=[LOAD, WIDE, ROTATED, dict(AFFINE, use_udp=True), TARGET, PACK],
    half_body=[LOAD, WIDE, HALF_BODY, flip('horizontal'), *END],
    random_apply=[LOAD, WIDE, APPLIED, *END],
    shifted=[LOAD, Shift(), WIDE, flip('horizontal', 0.5), *END],
    another_crop=[LOAD, Crop(), TARGET, PACK],
    another_dict=[LOAD, AnotherDict(), WIDE, flip('horizontal'), *END],
    a_function=[LOAD, shift, WIDE, *END],
    two_target_generators=[LOAD, WIDE, flip('horizontal'), AFFINE, TARGET, *END[1:]],
)


@pytest.mark.parametrize('pipeline', RIGHT.values(), ids=RIGHT)
def test_targets_of_both_persons_are_where_their_pixels_are(folder, pipeline):
    check(wrap(coco_dataset_config(folder, pipeline), movers=MOVERS))


@pytest.mark.parametrize('inner', [flip('horizontal'), Shift()], ids=['flip', 'shift'])
def test_pipelines_of_a_dataset_and_of_its_wrapper_are_one(folder, inner):
    stock = coco_dataset_config(folder, [LOAD, inner])
    outer = dict(
        type='CombinedDataset',
        metainfo=dict(from_file='configs/_base_/datasets/coco.py'),
        datasets=[stock, stock],
        pipeline=[flip('vertical', 0.5), WIDE, *END],
    )
    check(wrap(outer, movers=MOVERS))


def test_two_codecs_after_one_another_have_their_targets(folder):
    both = [LOAD, WIDE, AFFINE, TARGET, dict(TARGET, encoder=SIMCC)]
    stock = DATASETS.build(coco_dataset_config(folder, both))
    ours = wrap(coco_dataset_config(folder, both))
    names = 'keypoint_labels', 'keypoint_x_labels', 'keypoint_y_labels'
    for name in names:
        for index in range(2):
            own, sibling = ours[index][name]
            np.testing.assert_array_equal(own, stock[index][name][0])
            assert not np.array_equal(own, sibling)


def test_a_dropped_sample_is_another_one(folder):
    def drop_the_first(results):
        return None if results['id'] == 1 else results

    dataset = wrap(coco_dataset_config(folder, [LOAD, drop_the_first, WIDE, *END]))
    np.random.seed(0)
    sample = dataset[0]
    assert sample['data_samples'].id == 2
    assert largest_distance(sample, PEOPLE[::-1]) < 1.5


def move_the_first(results):
    results['keypoints'][0] += 5
    return results


def keep_the_first(results):
    results['keypoints'] = results['keypoints'][:1]
    return results


WRONG = [
    ([LOAD, Shift(), WIDE, *END], r"Shift in.*dataset\.movers=\['Shift'\]"),
    ([LOAD, move_the_first, WIDE, *END], 'move_the_first in.*moved the keypoints of'),
    ([LOAD, Crop(), TARGET, PACK], 'Crop in.*moved the transformed_keypoints'),
    ([LOAD, keep_the_first, WIDE, *END], 'keep_the_first in.*2 persons.*1 rows of'),
    ([LOAD, WIDE, AFFINE, flip('vertical', 0.0), *END[1:]], 'RandomFlip stands after'),
    ([LOAD, WIDE, *END[1:]], 'needs TopdownAffine before it in train_pipeline'),
]


@pytest.mark.parametrize(('pipeline', 'message'), WRONG, ids=[m for _, m in WRONG])
def test_what_cannot_be_placed_is_named(folder, pipeline, message):
    dataset = wrap(coco_dataset_config(folder, pipeline), movers=['keep_the_first'])
    with pytest.raises(ValueError, match=message):
        dataset[0]


def test_stock_training_is_left_alone(folder):
    """With N = 1 there is no sibling to place."""
    stock = coco_dataset_config(folder, [LOAD, move_the_first, WIDE, *END])
    dataset = wrap(stock, num_instances=1)
    assert targets(dataset[0])['keypoint_labels'].shape == (1, 17, 2)


def test_albumentations_change_what_they_change_in_stock_mmpose(folder):
    pytest.importorskip('albumentations')
    parts = [dict(type='Blur', p=1.0), dict(type='CoarseDropout', p=1.0)]
    pipeline = [LOAD, WIDE, dict(type='Albumentation', transforms=parts), *END]
    np.random.seed(0)
    assert order_of(wrap(coco_dataset_config(folder, pipeline))[0]) == [0, 1]
