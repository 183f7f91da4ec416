import numpy as np
import pytest
from xtcocotools import mask as coco_mask

from mipnet_mmpose.datasets.masks import person_mask

TRUTH = np.zeros((12, 16), np.uint8)
TRUTH[2:7, 3:11] = 1
POLYGON = [3, 2, 11, 2, 11, 7, 3, 7]


def compressed():
    return coco_mask.encode(np.asfortranarray(TRUTH))


def uncompressed():
    """Run lengths of columns, zeros first, written out."""
    pixels = TRUTH.ravel(order='F')
    changes = np.flatnonzero(np.diff(pixels)) + 1
    counts = np.diff([0, *changes, len(pixels)]).tolist()
    return dict(counts=counts, size=list(TRUTH.shape))


@pytest.mark.parametrize(
    'segmentation',
    [[POLYGON], compressed(), uncompressed()],
    ids=['polygon', 'rle', 'counts'],
)
def test_each_form_of_a_mask_is_read(segmentation):
    mask = person_mask(dict(segmentation=segmentation), TRUTH.shape)
    assert mask.dtype == bool and (mask == TRUTH).all()


@pytest.mark.parametrize('segmentation', [None, [], [[1, 2, 3, 4]]])
def test_no_mask(segmentation):
    assert person_mask(dict(segmentation=segmentation), TRUTH.shape) is None


def test_a_crowd_region_is_nobodys_mask():
    person = dict(segmentation=compressed(), iscrowd=1)
    assert person_mask(person, TRUTH.shape) is None


def test_mask_of_another_image_size_names_the_person():
    with pytest.raises(ValueError, match='id 7 .*12, 16.*20, 20'):
        person_mask(dict(id=7, segmentation=compressed()), (20, 20))


@pytest.mark.parametrize('segmentation', [dict(size=[12, 16]), ['abcdefgh'], 5])
def test_unreadable_mask_names_the_person(segmentation):
    with pytest.raises(ValueError, match='id 7'):
        person_mask(dict(id=7, segmentation=segmentation), TRUTH.shape)
