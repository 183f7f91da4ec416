import numpy as np
import pytest
import torch
from mmengine.dataset import Compose
from mmpose.datasets.transforms import GenerateTarget
from mmpose.registry import DATASETS

from ..conftest import CODEC, coco_dataset_config, person, train_pipeline, val_pipeline

SIMCC = dict(type='SimCCLabel', input_size=(96, 128), sigma=4.0, simcc_split_ratio=2.0)
REGRESSION = dict(type='RegressionLabel', input_size=(96, 128))
UDP = dict(type='UDPHeatmap', input_size=(96, 128), heatmap_size=(24, 32), sigma=1.5)
COMBINED = dict(UDP, heatmap_type='combined')
# codec, and use_udp of the crop
CODECS = [(CODEC, False), (UDP, True), (COMBINED, True), (SIMCC, False)]
CODECS += [(REGRESSION, False), (REGRESSION, True)]
TWO = [person(1, 1, 20, 10, 60, 90), person(2, 1, 35, 15, 60, 90)]
IN_ONE_BOX = [dict(person(i, 1, 25, 15, 60, 80), bbox=[20, 10, 70, 95]) for i in (1, 2)]


def wrap(dataset, **fields):
    """A loaded MultiInstanceDataset around this config of a dataset."""
    cfg = dict(type='MultiInstanceDataset', dataset=dataset, **fields)
    dataset = DATASETS.build(cfg)
    dataset.full_init()
    return dataset


def build(folder, pipeline=None, num_instances=2):
    inner = coco_dataset_config(folder, pipeline or train_pipeline())
    return wrap(inner, num_instances=num_instances)


def targets(sample):
    """All target tensors of a packed sample by name."""
    sample = sample['data_samples']
    found = dict(sample.gt_instance_labels.items())
    if 'gt_fields' in sample:
        found.update(sample.gt_fields.items())
    return found


def order_of(sample):
    """Whom each row of the targets is of: 0 is the person of the box."""
    (order,) = sample['data_samples'].gt_instances.target_instances.tolist()
    return order


def crop(sample, points, use_udp=False):
    """Where points of the image lie in the crop, written out for no rotation."""
    meta = sample['data_samples'].metainfo
    size = np.array(meta['input_size'])
    factor = (size - 1 if use_udp else size) / np.array(meta['input_scale'])
    middle = (size - 1) / 2 if use_udp else size / 2
    return (points - meta['input_center']) * factor + middle


@pytest.mark.parametrize(('codec', 'use_udp'), CODECS)
def test_person_0_has_the_targets_of_the_stock_transform(coco_folder, codec, use_udp):
    folder = coco_folder(TWO)
    pipeline = train_pipeline(codec, use_udp)
    stock = DATASETS.build(coco_dataset_config(folder, pipeline))
    ours = build(folder, pipeline, num_instances=2)
    for index in range(2):
        for seed in range(8):
            np.random.seed(seed)
            expected = stock[index]
            np.random.seed(seed)
            sample = ours[index]
            assert torch.equal(sample['inputs'], expected['inputs'])
            for name, value in targets(expected).items():
                assert torch.equal(targets(sample)[name].chunk(2)[0], value), name


@pytest.mark.parametrize(('codec', 'use_udp'), CODECS)
def test_sibling_has_the_targets_it_would_have_as_person_0(coco_folder, codec, use_udp):
    """Two persons in one box: each is the other's sibling in the same crop."""
    folder = coco_folder(IN_ONE_BOX)
    augmented = train_pipeline(codec, use_udp)
    # the half-body crop depends on who the person is
    augmented = [t for t in augmented if t['type'] != 'RandomHalfBody']
    dataset = build(folder, augmented)
    flipped = rotated = 0
    for seed in range(8):
        samples = []
        for index in range(2):
            np.random.seed(seed)
            samples.append(dataset[index])
        first, second = (targets(sample) for sample in samples)
        if order_of(samples[0]) != [0, 1]:
            continue  # rotated out of the crop
        flipped += samples[0]['data_samples'].flip
        rotated += 1
        for name in first:
            found, expected = first[name].chunk(2)[1], second[name].chunk(2)[0]
            torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
    assert flipped and rotated > flipped


def test_siblings_come_nearest_box_centre_first(coco_folder):
    far, near = person(2, 1, 55, 10, 60, 90), person(3, 1, 30, 10, 60, 90)
    folder = coco_folder([person(1, 1, 20, 10, 60, 90), far, near])
    dataset = build(folder, train_pipeline(REGRESSION, augment=False), num_instances=4)
    sample = dataset[0]
    labels = targets(sample)['keypoint_labels'] * torch.tensor([96.0, 128.0])
    for row, who in ((1, near), (2, far)):
        points = np.reshape(who['keypoints'], (17, 3))[:, :2]
        np.testing.assert_allclose(labels[row], crop(sample, points), atol=1e-2)
    assert torch.equal(labels[3], labels[0])
    assert order_of(sample) == [0, 1, 2, 0]


@pytest.mark.parametrize(('labelled', 'kept'), [(3, False), (4, True)])
def test_sibling_needs_four_labelled_keypoints_in_the_crop(coco_folder, labelled, kept):
    sibling = person(2, 1, 25, 10, 50, 80)
    keypoints = np.reshape(sibling['keypoints'], (17, 3))
    keypoints[labelled:, 2] = 0
    sibling.update(keypoints=keypoints.ravel().tolist(), num_keypoints=labelled)
    folder = coco_folder([person(1, 1, 20, 10, 60, 90), sibling])
    dataset = build(folder, train_pipeline(augment=False))
    assert order_of(dataset[0]) == [0, int(kept)]


def test_test_datasets_pass_through(coco_folder):
    folder = coco_folder([person(1, 1, 20, 10, 60, 90)])
    stock = coco_dataset_config(folder, val_pipeline(), test_mode=True)
    ours = DATASETS.build(dict(type='MultiInstanceDataset', dataset=stock))
    assert len(ours) == 1 and ours.metainfo['dataset_name'] == 'coco'
    assert 'target_instances' not in ours[0]['data_samples'].gt_instances


@pytest.mark.parametrize('combined', [False, True])
def test_converted_keypoints_are_converted_for_the_sibling(coco_folder, combined):
    """Both persons in one box, so that each is the other's sibling."""
    folder = coco_folder(IN_ONE_BOX)
    mapping = [(i, (5 * i) % 14) for i in range(14)]
    converter = dict(type='KeypointConverter', num_keypoints=14, mapping=mapping)
    pipeline = train_pipeline(REGRESSION, augment=False)
    if combined:
        stock = coco_dataset_config(folder, [dict(type='LoadImage'), converter])
        cfg = dict(
            type='CombinedDataset',
            metainfo=dict(from_file='configs/_base_/datasets/crowdpose.py'),
            datasets=[stock],
            pipeline=pipeline[1:],
        )
    else:
        cfg = coco_dataset_config(folder, [pipeline[0], converter, *pipeline[1:]])
    dataset = wrap(cfg)
    first, second = (targets(dataset[i]) for i in range(2))
    for name in ('keypoint_labels', 'keypoint_weights'):
        torch.testing.assert_close(first[name][1], second[name][0])
        torch.testing.assert_close(first[name][0], second[name][1])


def test_a_pipeline_switched_in_training_takes_effect(coco_folder):
    """As MMPose's PipelineSwitchHook sets it."""
    folder = coco_folder(TWO)
    dataset = build(folder, train_pipeline(augment=False))
    dataset.pipeline = Compose(train_pipeline(REGRESSION, augment=False))
    for _ in range(2):
        sample = dataset[0]
        assert targets(sample)['keypoint_labels'].shape == (2, 17, 2)
        assert order_of(sample) == [0, 1]


def test_a_pipeline_beside_the_dataset_is_that_of_the_dataset(coco_folder):
    folder = coco_folder(TWO)
    pipeline = train_pipeline(augment=False)
    cfg = dict(type='MultiInstanceDataset', pipeline=pipeline)
    beside = DATASETS.build(dict(cfg, dataset=coco_dataset_config(folder, [])))
    inside = build(folder, pipeline)
    for name, target in targets(inside[0]).items():
        torch.testing.assert_close(targets(beside[0])[name], target)
    both = dict(cfg, dataset=coco_dataset_config(folder, pipeline))
    with pytest.raises(ValueError, match='dataset.dataset.pipeline'):
        DATASETS.build(both)


def test_repeated_datasets_are_wrapped(coco_folder):
    folder = coco_folder(TWO)
    stock = coco_dataset_config(folder, train_pipeline(augment=False))
    cfg = dict(type='RepeatDataset', dataset=stock, times=2)
    dataset = DATASETS.build(dict(type='MultiInstanceDataset', dataset=cfg))
    assert not dataset.test_mode and len(dataset) == 4
    assert order_of(dataset[3]) == [0, 1]


class OwnTarget(GenerateTarget):
    """Does something else: not to be replaced."""


WRONG = {
    'pipeline has no GenerateTarget': val_pipeline(),
    'no GenerateTarget to replace': [dict(type=OwnTarget, encoder=CODEC)],
    "data_mode must be 'topdown'": train_pipeline(),
}


@pytest.mark.parametrize(('message', 'pipeline'), WRONG.items())
def test_what_cannot_be_wrapped_is_named(coco_folder, message, pipeline):
    mode = 'bottomup' if 'data_mode' in message else 'topdown'
    folder = coco_folder(TWO)
    stock = coco_dataset_config(folder, pipeline, data_mode=mode)
    with pytest.raises(ValueError, match=message):
        DATASETS.build(dict(type='MultiInstanceDataset', dataset=stock))


ODD = {
    'a box alone': dict(keypoints=[], num_keypoints=0),
    'no area': dict(area=0),
    'a crowd': dict(iscrowd=1),
    'a box outside': dict(bbox=[900, 900, 40, 40]),
    'a polygon of nothing': dict(segmentation=[[]]),
    'a list of RLE': dict(segmentation=[dict(size=[120, 160], counts=[19200])]),
    'an id given twice': dict(id=1),
}


@pytest.mark.parametrize('changes', ODD.values(), ids=ODD)
def test_what_stock_mmpose_reads_is_read(coco_folder, changes):
    odd = dict(person(3, 1, 90, 10, 60, 90), **changes)
    pipeline = train_pipeline(augment=False)
    folder = coco_folder([*TWO, odd])
    stock = DATASETS.build(coco_dataset_config(folder, pipeline))
    ours = build(folder, pipeline)
    assert len(ours) == len(stock)
    for i in range(len(stock)):
        assert ours[i]['inputs'].equal(stock[i]['inputs'])


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(keypoints=[1, 1, 2] * 16), 'id 2 .* 16 keypoints, the first one 17'),
        (dict(bbox=[20, np.nan, 60, 90]), 'id 2 has the box'),
    ],
)
def test_a_person_that_gives_wrong_targets_is_named(coco_folder, changes, message):
    odd = dict(person(2, 1, 35, 15, 60, 90), **changes)
    folder = coco_folder([person(1, 1, 20, 10, 60, 90), odd])
    with pytest.raises(ValueError, match=f'annotations.json: .*{message}'):
        build(folder)


def test_missing_images_are_left_out_as_in_stock_mmpose(coco_folder):
    folder = coco_folder([person(i, i, 20, 10, 60, 90) for i in (1, 2, 3)])
    (folder / '000002.png').unlink()
    pipeline = train_pipeline(augment=False)
    with pytest.raises(FileNotFoundError, match='000002.png'):
        build(folder, pipeline)[1]
    pipeline[0]['ignore_empty'] = True
    assert build(folder, pipeline)[1]['data_samples'].id in (1, 3)
