"""Every stock top-down dataset class, on annotations made up in its format."""

import json
import runpy
from pathlib import Path

import cv2
import mmpose
import numpy as np
import pytest
from mmpose.datasets.datasets.base import BaseCocoStyleDataset
from mmpose.registry import DATASETS

from ..conftest import coco_dataset_config, train_pipeline
from .test_multi_instance_dataset import REGRESSION, crop, order_of

SIZE = 224  # of the images, in pixels
BODY_IN_PARTS = ('CocoWholeBodyDataset', 'UBody2dDataset')
# in 3D, or one sample an image
OTHERS = ('InterHand3DDataset', 'InterHand2DDoubleDataset')
STOCK = sorted(
    name
    for name, cls in DATASETS.module_dict.items()
    if issubclass(cls, BaseCocoStyleDataset)
    and cls is not BaseCocoStyleDataset
    and cls.__module__.startswith('mmpose.')
    and name not in OTHERS
)


def take_frame(results):
    """MMPose 1.x has no transform that loads several frames."""
    results['img_path'] = results['img_path'][0]
    return results


OF_VIDEOS = dict(
    frame_sampler_mode='fixed',
    frame_indices=[-1, 0],
    frame_weights=[0.5, 0.5],
    pipeline=[take_frame, dict(type='LoadImage')],
)


def load_metainfo(name):
    """The class's own, without ``Config``, which takes seconds for the larger ones."""
    if name == 'DeepFashionDataset':
        path = 'deepfashion_full.py'
    else:
        path = Path(DATASETS.get(name).METAINFO['from_file']).name
    folder = Path(mmpose.__file__).parent / '.mim/configs/_base_/datasets'
    return runpy.run_path(str(folder / path))['dataset_info']


def annotation(name, ann_id, image_id, num_keypoints):
    """A person with the fields of any format."""
    rng = np.random.default_rng([image_id, ann_id])
    left, top, width, height = 20 + 25 * ann_id, 30, 110, 150

    def keypoints(num):
        xy = rng.uniform(0.1, 0.9, (num, 2)) * (width, height) + (left, top)
        return np.c_[xy, np.full(num, 2)].ravel().round(1).tolist()

    box = [left, top, width, height]
    return dict(
        id=ann_id,
        image_id=image_id,
        category_id=1,
        iscrowd=0,
        bbox=box,
        area=width * height,
        segmentation=[],
        num_keypoints=num_keypoints,
        num_joints=num_keypoints,
        keypoints=keypoints(17 if name in BODY_IN_PARTS else num_keypoints),
        keypoints_21=keypoints(21),
        foot_kpts=keypoints(6),
        face_kpts=keypoints(68),
        face_valid=True,
        face_box=box,
        lefthand_kpts=keypoints(21),
        lefthand_valid=True,
        lefthand_box=box,
        righthand_kpts=keypoints(21),
        righthand_valid=False,
        center=[left + width / 2, top + height / 2],
        scale=height / 200,
        head_size=30.0,
    )


def write_mpii(folder, people):
    persons = []
    for person in people:
        x_y_v = np.reshape(person['keypoints'], (-1, 3))
        joints = dict(joints=x_y_v[:, :2].tolist(), joints_vis=[1] * len(x_y_v))
        persons.append(dict(person, image='000001.jpg', **joints))
    (folder / 'annotations.json').write_text(json.dumps(persons))


def write_dataset(name, metainfo, folder, count):
    """One image of ``count`` people; returns the config of the stock dataset."""
    folder.mkdir()
    for frame in range(2):
        pixels = np.zeros((SIZE, SIZE, 3), np.uint8)
        cv2.imwrite(str(folder / f'{frame:06d}.jpg'), pixels)
    num_keypoints = len(metainfo['keypoint_info'])
    people = [annotation(name, i, 1, num_keypoints) for i in range(count)]
    image = dict(id=1, file_name='000001.jpg', width=SIZE, height=SIZE)
    image.update(frame_id=1, nframes=2)
    data = dict(images=[image], annotations=people)
    data['categories'] = [dict(id=1, name='person')]
    (folder / 'annotations.json').write_text(json.dumps(data))
    if name == 'MpiiDataset':
        write_mpii(folder, people)
    cfg = coco_dataset_config(folder, [dict(type='LoadImage')], metainfo=metainfo)
    # to serialize collects garbage, which takes a second
    cfg.update(type=name, serialize_data=False)
    return dict(cfg, **OF_VIDEOS) if name == 'PoseTrack18VideoDataset' else cfg


@pytest.mark.parametrize('name', STOCK)
def test_siblings_are_the_others_of_the_same_image(name, tmp_path):
    """Two people in an image, a third in an image of the same id of another set."""
    metainfo = load_metainfo(name)
    parts = [
        write_dataset(name, metainfo, tmp_path / str(count), count) for count in (2, 1)
    ]
    combined = dict(
        type='CombinedDataset',
        metainfo=metainfo,
        datasets=parts,
        pipeline=train_pipeline(REGRESSION, augment=False)[1:],
    )
    dataset = DATASETS.build(dict(type='MultiInstanceDataset', dataset=combined))
    samples = [dataset[i] for i in range(len(dataset))]
    assert [order_of(sample) for sample in samples] == [[0, 1], [0, 1], [0, 0]]
    stock = DATASETS.build(parts[0])
    for sample, other in zip(samples, (1, 0)):
        points = stock.get_data_info(other)['keypoints'][0]
        labels = sample['data_samples'].gt_instance_labels.keypoint_labels[1]
        placed = labels.numpy() * REGRESSION['input_size']
        np.testing.assert_allclose(placed, crop(sample, points), atol=1e-2)
