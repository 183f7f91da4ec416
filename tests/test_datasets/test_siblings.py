"""One person annotated twice."""

import numpy as np
import pytest

from ..conftest import person
from .test_multi_instance_dataset import build

# of COCO, in thousandths: nose, eyes, ears, shoulders, elbows, wrists, hips, ...
SIGMAS = [26, 25, 25, 35, 35, 79, 79, 72, 72, 62, 62, 107, 107, 87, 87, 89, 89]
SIGMAS = np.array(SIGMAS) / 1000


def moved(annotation, ann_id, pixels, rows=slice(None), **changes):
    """Once more, some of its keypoints, some pixels to the right."""
    keypoints = np.zeros((17, 3))
    keypoints[rows] = np.reshape(annotation['keypoints'], (17, 3))[rows]
    keypoints[rows, 0] += pixels
    keypoints = keypoints.ravel().tolist()
    return dict(annotation, id=ann_id, keypoints=keypoints, **changes)


def siblings(folder):
    (index,) = build(folder).sibling_indices
    return [index.others(i).tolist() for i in range(len(index))]


TWICE = {
    'a double export': lambda a: moved(a, 9, 0),
    'two annotators': lambda a: moved(a, 9, 1.5),
    'one of them labelled a part': lambda a: moved(a, 9, 1, slice(5, 12)),
    'no area': lambda a: moved(a, 9, 1, area=0),
    'another box': lambda a: moved(a, 9, 1, bbox=[22, 8, 58, 95]),
}


@pytest.mark.parametrize('again', TWICE.values(), ids=TWICE)
def test_the_person_of_the_box_once_more_is_no_sibling(coco_folder, again):
    one, other = person(1, 1, 20, 10, 60, 90), person(2, 1, 50, 15, 60, 90)
    found = siblings(coco_folder([one, other, again(one)]))
    assert found[0] == [1] and found[2] == [1]
    assert len(found[1]) == 1  # and they are one sibling of somebody else


@pytest.mark.parametrize(('pixels', 'same'), [(3, True), (7, False)])
def test_who_is_at_least_as_near_as_oks_09_is_the_same(coco_folder, pixels, same):
    one = dict(person(1, 1, 20, 10, 60, 90), area=5000)
    oks = np.exp(-(pixels**2) / (2 * 5000 * (2 * SIGMAS) ** 2)).mean()
    assert (oks >= 0.9) == same
    found = siblings(coco_folder([one, moved(one, 2, pixels)]))
    assert found == ([[], []] if same else [[1], [0]])


def test_two_people_who_share_a_labelled_keypoint_are_two(coco_folder):
    one = person(1, 1, 20, 10, 60, 90)
    upper, lower = moved(one, 1, 0, slice(0, 9)), moved(one, 2, 0, slice(8, 17))
    assert siblings(coco_folder([upper, lower])) == [[1], [0]]
