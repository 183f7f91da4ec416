"""People pasted for training: where, what of whom, and who is whose sibling."""

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mipnet_mmpose.datasets.paste_people import PastePeople
from mipnet_mmpose.evaluation.boxes import box_iou

from ..conftest import coco_dataset_config, person, rewrite, train_pipeline
from .test_multi_instance_dataset import wrap

SIZE = (320, 240)


def somebody(i, image, left):
    """60 x 120 pixels large; the mask is the box."""
    mask = rectangle(left, 60, 60, 120)
    return person(i, image, left, 60, 60, 120, segmentation=mask)


def rectangle(left, top, width, height):
    right, bottom = left + width, top + height
    return [[left, top, right, top, right, bottom, left, bottom]]


def build(folder, pipeline=None, inner=None, **settings):
    fields = dict(paste_people=dict(prob=1.0, **settings))
    if inner is None:
        inner = coco_dataset_config(folder, pipeline or train_pipeline())
    else:  # as mipnetify writes it
        fields['pipeline'] = pipeline
    return wrap(inner, **fields)


@pytest.fixture
def crowd(coco_folder):
    """Six persons of 60 x 120 pixels, one an image, in a box of one colour each."""
    people = [somebody(i, i, 60 + 20 * i) for i in range(1, 7)]
    folder = coco_folder(people, size=SIZE)
    for i in range(1, 7):
        image = np.zeros((SIZE[1], SIZE[0], 3), np.uint8)
        image[60:180, 60 + 20 * i : 120 + 20 * i] = 40 * i
        cv2.imwrite(str(folder / f'{i:06d}.png'), image)
    return folder


def pasted_samples(dataset, count=40):
    """Samples as they leave PastePeople: results with ``siblings``."""
    part = dataset.dataset
    paste = [t for t in part.pipeline.transforms if isinstance(t, PastePeople)]
    assert len(paste) == 1
    for seed in range(count):
        np.random.seed(seed)
        i = seed % len(part)
        results = part.get_data_info(i)
        results = part.pipeline.transforms[0](results)
        results['siblings'] = part.pipeline.index.siblings(i)
        results.update(bbox_center=None, bbox_scale=None)  # as MPII's samples have
        own = dict(results)
        yield own, paste[0](results)


def switched_samples(dataset, least=20):
    """Those where the box has become the donor's, which are more than the least."""
    pairs = [(o, r) for o, r in pasted_samples(dataset) if r['id'] != o['id']]
    assert len(pairs) > least
    return pairs


def mirrored(person, dataset):
    """Keypoints in the mirror, each under the name it has there."""
    flipped = person['keypoints'][0, dataset.metainfo['flip_indices']].copy()
    flipped[:, 0] *= -1
    return flipped


def fit(truth, found):
    """The best scale (one for each axis) and shift, in closed form: error, scale."""
    a, b = truth - truth.mean(0), found - found.mean(0)
    scale = (a * b).sum(0) / (a * a).sum(0)
    return np.abs(a * scale - b).max() + 9 * (scale <= 0).any(), scale


def test_pasted_person_is_a_moved_and_scaled_donor(crowd):
    dataset = build(crowd, switch_prob=0, behind_prob=0, min_visible=0)
    donors = [dataset.dataset.get_data_info(i) for i in range(6)]
    mirrors = 0
    for own, results in pasted_samples(dataset):
        if len(results['siblings']['keypoints']) == 0:
            continue
        assert np.array_equal(results['keypoints'], own['keypoints'])
        found = results['siblings']['keypoints'][0]
        fits = [
            (*fit(truth, found), is_mirror)
            for donor in donors
            for is_mirror, truth in enumerate(
                (donor['keypoints'][0], mirrored(donor, dataset))
            )
        ]
        error, scale, is_mirror = min(fits, key=lambda item: item[0])
        assert error < 0.01
        assert abs(scale[0] / scale[1] - 1) < 0.03  # whole pixels
        assert 0.69 < np.sqrt(scale.prod()) < 1.41
        mirrors += is_mirror
    assert 5 < mirrors < 35


def test_box_iou_is_in_the_asked_range(crowd):
    dataset = build(crowd, switch_prob=1, iou=(0.5, 0.7), min_visible=0)
    ious = [
        box_iou(own['bbox'], results['bbox']).item()
        for own, results in pasted_samples(dataset)
        if len(results['siblings']['keypoints'])
    ]
    assert len(ious) > 20
    # the pasted box is rounded to whole pixels, a side by less than one of 60
    assert 0.48 < min(ious) and max(ious) < 0.72


@pytest.mark.parametrize('behind_prob', [0, 1])
def test_who_is_in_front_covers_the_other(crowd, behind_prob):
    """Each person is a rectangle of one brightness on black."""
    dataset = build(
        crowd, behind_prob=behind_prob, switch_prob=1, min_visible=0, flip_prob=0
    )
    for own, results in switched_samples(dataset):
        left, top, right, bottom = own['bbox'][0].astype(int)
        donor = results['bbox'][0].astype(int)
        both = slice(max(top, donor[1]) + 3, min(bottom, donor[3]) - 3)
        both = both, slice(max(left, donor[0]) + 3, min(right, donor[2]) - 3)
        front = own['id'] if behind_prob else results['id']
        assert (results['img'][both] == 40 * front).all()


def test_box_becomes_the_donors_and_its_person_the_sibling(crowd):
    dataset = build(crowd, switch_prob=1)
    for own, results in switched_samples(dataset):
        siblings = results['siblings']
        assert np.array_equal(siblings['keypoints'], own['keypoints'])
        assert np.array_equal(siblings['keypoints_visible'], own['keypoints_visible'])
        assert not {'bbox_center', 'bbox_scale'} & set(results)
        left, top, right, bottom = results['bbox'][0]
        inside = results['keypoints_visible'][0] > 0
        x, y = results['keypoints'][0, inside].T
        assert (x > left - 1).all() and (x < right + 1).all()
        assert (y > top - 1).all() and (y < bottom + 1).all()


def test_least_visible_share_of_the_one_behind(crowd):
    dataset = build(crowd, behind_prob=0, switch_prob=0, min_visible=0.45)
    pasted = 0
    for own, results in pasted_samples(dataset):
        left, top, right, bottom = own['bbox'][0].astype(int)
        area = np.s_[top:bottom, left:right]
        before, after = own['img'][area], results['img'][area]
        changed = (before != after).any(axis=2).mean()
        pasted += changed > 0
        assert changed < 0.55 + 0.03  # a pixel more on two sides
    assert pasted > 10


def test_siblings_stay_ordered_by_the_distance_of_their_boxes(coco_folder):
    people = [somebody(1, 1, 100), somebody(2, 1, 240)]
    people += [somebody(i, i, 100) for i in range(3, 7)]
    dataset = build(coco_folder(people, size=SIZE), switch_prob=0, min_visible=0)
    pasted = 0
    for own, results in pasted_samples(dataset, 60):
        if own['id'] == 1 and len(results['siblings']['keypoints']) == 2:
            pasted += 1
            near, far = results['siblings']['keypoints']
            truth = dataset.dataset.get_data_info(1)['keypoints'][0]
            assert np.array_equal(far, truth) and not np.array_equal(near, truth)
    assert pasted > 3


def test_donors_come_from_the_dataset_beside_it(crowd):
    masks = coco_dataset_config(crowd, train_pipeline(augment=False))
    none = dict(masks, indices=[0])
    joined = dict(type='ConcatDataset', datasets=[none, masks])
    dataset = build(crowd, inner=joined)
    for part in dataset.dataset.datasets:
        paste = part.pipeline.transforms[1]
        assert isinstance(paste, PastePeople) and len(paste.donors) == 7


def test_pipeline_that_is_switched_pastes_too(crowd):
    dataset = build(crowd, train_pipeline())
    dataset.pipeline = type(dataset.pipeline)(train_pipeline(augment=False))
    kinds = [type(t).__name__ for t in dataset.pipeline.transforms]
    assert kinds[:2] == ['LoadImage', 'PastePeople'] and kinds.count('PastePeople') == 1


def change(folder, function):
    rewrite(folder, lambda d: [function(a) for a in d['annotations']])


def rle(left, compressed):
    """The mask of :func:`somebody`, run lengths of columns, zeros first."""
    runs = [240 * left + 60, *[120] * 119, 240 * (260 - left) + 60]
    counts = dict(counts=runs, size=[240, 320])
    if compressed:
        counts = coco_mask.frPyObjects(counts, 240, 320)
        counts['counts'] = counts['counts'].decode()  # as JSON has it
    return counts


MASKS = {
    'polygon and what is none': lambda x: [[1, 2], *rectangle(x, 60, 60, 120), []],
    'run lengths': lambda left: rle(left, False),
    'compressed run lengths': lambda left: rle(left, True),
}


@pytest.mark.parametrize('form', MASKS.values(), ids=MASKS)
def test_each_form_of_a_mask_is_read(crowd, form):
    before = list(pasted_samples(build(crowd, switch_prob=0, behind_prob=0.5), 20))
    change(crowd, lambda a: a.update(segmentation=form(int(a['bbox'][0]))))
    dataset = build(crowd, switch_prob=0, behind_prob=0.5)
    assert len(dataset.dataset.pipeline.transforms[1].donors) == 6
    pairs = list(zip(before, pasted_samples(dataset, 20)))
    assert sum(len(old['siblings']['keypoints']) for (_, old), _ in pairs) > 10
    for (_, old), (_, new) in pairs:
        np.testing.assert_array_equal(old['img'], new['img'])


NO_MASK = {
    'nothing': None,
    'an empty polygon': [[]],
    'one point': [[70, 70]],
    'two points': [[70, 70, 90, 90]],
    'NaN': [[70, 70, 90, 90, 70, float('nan')]],
    'a number': 5,
    'a list of RLE': [dict(size=[240, 320], counts=[0, 76800])],
    'a polygon of no area': [[90, 90] * 3],
    'an RLE of nothing': dict(size=[240, 320], counts=[76800]),
    'a mask elsewhere': rectangle(1, 1, 20, 20),
    'a mask of a corner': rectangle(0, 60, 95, 15),
}


@pytest.mark.parametrize('segmentation', NO_MASK.values(), ids=NO_MASK)
def test_who_has_no_mask_of_the_box_is_nobodys_donor(crowd, segmentation):
    change(crowd, lambda a: a['id'] % 2 and a.update(segmentation=segmentation))
    dataset = build(crowd, switch_prob=1, min_visible=0.1)
    assert len(dataset.dataset.pipeline.transforms[1].donors) == 3
    for own, results in switched_samples(dataset, 10):
        assert results['id'] % 2 == 0
        assert not np.array_equal(own['img'], results['img'])
    change(crowd, lambda a: a.update(segmentation=segmentation))
    with pytest.raises(ValueError, match='annotations.json.*segmentation'):
        build(crowd)


def test_an_image_of_another_size_than_its_mask_is_not_pasted(crowd):
    rle = dict(size=[240, 320], counts=[0, 76800])
    change(crowd, lambda a: a['id'] > 1 and a.update(segmentation=rle))
    for i in range(2, 7):
        cv2.imwrite(str(crowd / f'{i:06d}.png'), np.zeros((320, 240, 3), np.uint8))
    dataset = build(crowd, iou=(0, 1), min_visible=0)
    for own, results in pasted_samples(dataset):
        if own['id'] == 1:  # a polygon, of nobody else, is of any size
            assert np.array_equal(own['img'], results['img'])


def test_missing_images_of_donors(crowd):
    for i in (2, 3, 4):
        (crowd / f'{i:06d}.png').unlink()
    pipeline = train_pipeline(augment=False)
    pipeline[0]['ignore_empty'] = True
    dataset = build(crowd, pipeline)
    np.random.seed(0)
    found = {dataset[i % 6]['data_samples'].img_id for i in range(30)}
    assert found == {1, 5, 6}


def test_keypoints_that_are_not_cut_out_are_not_labelled(crowd):
    """The mask is the upper half of each box."""
    upper = {i: rectangle(60 + 20 * i, 60, 60, 60) for i in range(1, 7)}
    change(crowd, lambda a: a.update(segmentation=upper[a['id']]))
    dataset = build(crowd, switch_prob=1, flip_prob=0, min_keypoints=4, min_visible=0)
    donors = {d['id']: d for d in map(dataset.dataset.get_data_info, range(6))}
    for _, results in switched_samples(dataset, 5):
        heights = donors[results['id']]['keypoints'][0, :, 1]
        labelled = results['keypoints_visible'][0] > 0
        assert labelled[heights < 119].all() or not labelled.all()
        assert not labelled[heights > 124].any()
        assert results['num_keypoints'] == labelled.sum() >= 4


def test_a_third_person_stays_in_sight(coco_folder):
    people = [somebody(1, 1, 100), somebody(2, 1, 130)]
    people += [somebody(i, i, 100) for i in range(3, 7)]
    folder = coco_folder(people, size=SIZE)
    least = {}
    for share in (0, 0.6):
        settings = dict(iou=(0.2, 0.9), behind_prob=0, switch_prob=0)
        dataset = build(folder, min_visible=share, **settings)
        seen = []
        for own, results in pasted_samples(dataset, 200):
            if own['id'] == 1 and len(results['siblings']['keypoints']) == 2:
                third = np.reshape(people[1]['keypoints'], (17, 3))
                x, y = third[:, :2].round().astype(int).T
                same = (own['img'][y, x] == results['img'][y, x]).all(axis=1)
                seen.append(same.mean())
        least[share] = min(seen)
    assert least[0] < 0.6 <= least[0.6]


@pytest.mark.parametrize('load_inside', [False, True])
def test_combined_datasets_paste_converted_people(crowd, load_inside):
    """MMPose's own load the image in the pipeline around, after the conversion."""
    order = [(i, (5 * i) % 17) for i in range(17)]
    convert = dict(type='KeypointConverter', num_keypoints=17, mapping=order)
    pipeline = train_pipeline(augment=False)
    first = pipeline[:1] if load_inside else []
    parts = [coco_dataset_config(crowd, first + more) for more in ([], [convert])]
    combined = dict(
        type='CombinedDataset',
        metainfo=dict(from_file='configs/_base_/datasets/coco.py'),
        datasets=parts,
    )
    settings = dict(flip_prob=0, min_visible=0, switch_prob=0)
    dataset = build(crowd, pipeline[len(first) :], combined, **settings)
    truths = []
    for i in range(6):
        keypoints = dataset.dataset.datasets[0].get_data_info(i)['keypoints'][0]
        converted = np.empty_like(keypoints)
        converted[[j for _, j in order]] = keypoints
        truths += [keypoints, converted]
    generator = dataset.dataset.pipeline.transforms[-2]
    seen = []
    generator.transform = lambda results: seen.append(results) or results
    dataset.dataset.pipeline.transforms = dataset.dataset.pipeline.transforms[:-1]
    kinds = set()
    for seed in range(24):
        np.random.seed(seed)
        dataset[seed % 12]
        siblings = seen[-1]['siblings']['keypoints']
        if len(siblings):
            errors = [fit(truth, siblings[0])[0] for truth in truths]
            assert min(errors) < 0.01
            kinds.add((seed % 12 // 6, np.argmin(errors) % 2))
    # loaded inside, each dataset pastes its own before they are converted
    assert kinds == (
        {(0, 0), (1, 1)} if load_inside else {(0, 0), (0, 1), (1, 0), (1, 1)}
    )


def test_setting_out_of_range_is_named(crowd):
    with pytest.raises(ValueError, match='paste_people.iou'):
        build(crowd, iou=(0.8, 0.2))
