import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mipnet_mmpose.datasets.masks import is_of_size, mask_share, person_mask

TRUTH = np.zeros((12, 16), np.uint8)
TRUTH[2:7, 3:11] = 1
BOX = np.array([3, 2, 11, 12])  # half of which is covered
POLYGON = [3, 2, 11, 2, 11, 7, 3, 7]


def compressed(mask=TRUTH):
    return coco_mask.encode(np.asfortranarray(mask))


def uncompressed():
    """Run lengths of columns, zeros first, written out."""
    pixels = TRUTH.ravel(order='F')
    changes = np.flatnonzero(np.diff(pixels)) + 1
    counts = np.diff([0, *changes, len(pixels)]).tolist()
    return dict(counts=counts, size=list(TRUTH.shape))


MASKS = {
    'polygon': [POLYGON],
    'polygon and what is none': [[1, 2], POLYGON, []],
    'rle': compressed(),
    'counts': uncompressed(),
}
NO_MASK = {
    'nothing': None,
    'empty': [],
    'empty polygon': [[]],
    'one point': [[1, 2]],
    'two points': [[1, 2, 3, 4]],
    'odd': [[1, 2, 3, 4, 5, 6, 7]],
    'NaN': [[1, 2, 3, 4, 5, float('nan')]],
    'a list of RLE': [compressed()],
    'a flat list': POLYGON,
    'points in pairs': [[[3, 2], [11, 2], [11, 7]]],
    'no counts': dict(size=[12, 16]),
    'letters': ['abcdefgh'],
    'a number': 5,
}


@pytest.mark.parametrize('segmentation', MASKS.values(), ids=MASKS)
def test_each_form_of_a_mask_is_read(segmentation):
    person = dict(segmentation=segmentation)
    mask = person_mask(person, TRUTH.shape)
    assert mask.dtype == bool and (mask == TRUTH).all()
    window = person_mask(person, (6, 9), (5, 3))
    assert (window == TRUTH[3:9, 5:14]).all()
    assert mask_share(person, BOX) == pytest.approx(0.5)
    assert mask_share(person, BOX + 8) == 0
    assert mask_share(dict(person, iscrowd=1), BOX) is np.nan
    assert person_mask(dict(person, iscrowd=1), TRUTH.shape) is None


@pytest.mark.parametrize('segmentation', NO_MASK.values(), ids=NO_MASK)
def test_what_is_no_mask(segmentation):
    person = dict(segmentation=segmentation)
    assert person_mask(person, TRUTH.shape) is None
    assert not mask_share(person, BOX) > 0


@pytest.mark.parametrize(
    'segmentation',
    [compressed(0 * TRUTH), dict(size=[12, 16], counts=[192]), [[3, 3] * 4]],
)
def test_a_mask_of_nothing_covers_nothing(segmentation):
    assert mask_share(dict(segmentation=segmentation), BOX) == 0


def test_an_rle_is_of_one_size_of_image():
    person = dict(segmentation=compressed())
    assert is_of_size(person, (12, 16)) and not is_of_size(person, (16, 12))
    assert person_mask(person, (20, 20)) is None
    assert is_of_size(dict(segmentation=[POLYGON]), (16, 12))
