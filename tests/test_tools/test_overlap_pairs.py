"""A test of overlapping pairs from a COCO file: who, where, and how much is hidden."""

import json

import cv2
import numpy as np
import pytest
from pycocotools.mask import iou

from ..conftest import load_tool, person, rewrite, run_script

tool = load_tool('overlap_pairs')
SIZE = (320, 240)
ALIKE = ('--iou', '0.5-0.8', '--min-visible', 0.5)
NAMES = ['nose', *(f'{side}_{k}' for k in range(8) for side in ('left', 'right'))]


def standing(ann_id, image_id, left):
    """Somebody 60 x 120 pixels large, whose mask is a cross that fills the box."""
    top = 80
    x, y = [left, left + 20, left + 40, left + 60], [top, top + 40, top + 80, top + 120]
    cross = [x[1], y[0], x[2], y[0], x[2], y[1], x[3], y[1], x[3], y[2], x[2], y[2]]
    cross += [x[2], y[3], x[1], y[3], x[1], y[2], x[0], y[2], x[0], y[1], x[1], y[1]]
    return person(ann_id, image_id, left, top, 60, 120, segmentation=[cross])


@pytest.fixture
def photographs(coco_folder):
    folder = coco_folder([standing(i, i, 40 + 25 * i) for i in range(1, 7)], size=SIZE)
    rewrite(folder, lambda data: data['categories'][0].update(keypoints=NAMES))
    return folder


def make(folder, out, *options):
    run_script(tool, folder / 'annotations.json', folder, folder / out, *options)
    return json.loads((folder / out / 'annotations.json').read_text())


def test_pairs_overlap_and_stay_in_sight_as_asked(photographs):
    options = '--count', 12, *ALIKE
    data = make(photographs, 'pairs', *options)
    assert make(photographs, 'again', *options) == data
    assert make(photographs, 'seed', *options, '--seed', 1) != data
    assert len(data['images']) == 12 and len(data['annotations']) == 24
    boxes = json.loads((photographs / 'pairs' / 'one_box_per_pair.json').read_text())
    for i, image in enumerate(data['images']):
        pair = [a for a in data['annotations'] if a['image_id'] == image['id']]
        assert pair[0]['source_image_id'] != pair[1]['source_image_id']
        assert 0.49 <= iou(*([a['bbox']] for a in pair), [0]) <= 0.81
        hidden, front = sorted(pair, key=lambda a: a['in_front'])
        assert front['visible_fraction'] == 1 and hidden['visible_fraction'] >= 0.5
        assert boxes[i]['bbox'] == front['bbox']
        # hidden keypoints keep their place; those beside the donor's mask are no more
        numbers = sorted([hidden['num_keypoints'], front['num_keypoints']])
        assert numbers[1] == 17 and numbers[0] >= 8
        assert set(front['keypoints'][2::3]) <= {0, 2}
        file = photographs / 'pairs' / 'images' / image['file_name']
        assert cv2.imread(str(file)).shape == (SIZE[1], SIZE[0], 3)
    assert any(1 in a['keypoints'][2::3] for a in data['annotations'])


def test_without_masks_it_says_so(photographs):
    rewrite(photographs, lambda d: [a.pop('segmentation') for a in d['annotations']])
    with pytest.raises(SystemExit, match='annotations.json.*segmentation'):
        make(photographs, 'pairs')


def others_first(data):
    dog = dict(data['annotations'][0], id=99, category_id=7, keypoints=[5, 5, 2] * 2)
    data['categories'].insert(0, dict(id=7, name='dog', keypoints=['head', 'tail']))
    data['categories'].insert(0, dict(id=8, name='ball'))
    data['annotations'] += [dog, dict(id=98, image_id=1, category_id=8)]
    data['annotations'].append(dict(data['annotations'][0], id=97, image_id=785))


def no_names(data):
    del data['categories'][0]['keypoints']


@pytest.mark.parametrize('function', [others_first, no_names])
def test_other_categories_and_no_names(photographs, function):
    rewrite(photographs, function)
    data = make(photographs, 'pairs', '--count', 6, *ALIKE)
    assert {len(a['keypoints']) for a in data['annotations']} == {51}
    if function is no_names:  # nobody is mirrored: a shift and a scale of the truth
        original = json.loads((photographs / 'annotations.json').read_text())
        truths = {a['image_id']: a['keypoints'] for a in original['annotations']}
        for annotation in data['annotations']:
            found = np.reshape(annotation['keypoints'], (17, 3))
            truth = np.reshape(truths[annotation['source_image_id']], (17, 3))
            seen = found[:, 2] > 0
            assert np.corrcoef(found[seen, 0], truth[seen, 0])[0, 1] > 0.99


SPELLINGS = ['nose left_eye right_eye', 'Nose L_Eye R_Eye', 'nose eye_l eye_r']
SPELLINGS += ['Nose EyeLeft EyeRight', 'nose l-eye r-eye', 'Nose LEye REye']
SPELLINGS += ['NOSE LEFT_EYE RIGHT_EYE', 'nose eye.L eye.R', 'nose leye reye']
SPELLINGS += ['nose lefteye righteye', 'neck l1 r1', 'nose leftEye rightEye']
NO_SIDES = ['a b c', 'nose left_eye eye', 'left_eye right_eye face-0', '1 2 3', 'l l r']


def test_sides_are_found_in_any_spelling():
    for names in SPELLINGS:
        assert tool.flip_indices(names.split()) == [0, 2, 1], names
    assert tool.flip_indices(['Left Eye', 'Upper Lip', 'Right Eye']) == [2, 1, 0]
    for names in NO_SIDES:
        assert tool.flip_indices(names.split()) is None, names
