"""Annotation files with made-up people, in the format of every stock top-down dataset.

One image holds two people whose boxes overlap. Each file has what the dataset that
reads it asks for, so that the dataset's own code parses it.
"""

import copy
import json

import cv2
import numpy as np
from mmpose.registry import DATASETS
from scipy.io import savemat

SIZE = 256
BOXES = [[16, 16, 100, 130], [48, 24, 100, 130]]  # x, y, width, height in pixels
IMAGE = '000000.png'
EXTRA_FILES = dict(
    headbox_file='heads.mat', camera_param_file='cameras.json', joint_file='joints.json'
)
# CocoWholeBody's files keep the feet, face and hands out of `keypoints`; InterHand's
# have cameras instead.
KEYPOINTS = dict(
    CocoWholeBodyDataset=17, UBody2dDataset=17, InterHand2DDoubleDataset=42
)


def stock_datasets(dataset):
    """The configs of the datasets in one, which may wrap some."""
    if 'ann_file' in dataset:
        yield dataset
    for part in (dataset.get('dataset'), *dataset.get('datasets', ())):
        if part:
            yield from stock_datasets(part)


def with_made_up_people(dataset, folder):
    """A dataset config with every stock dataset in it reading from a folder.

    Args:
        dataset (dict): Config of a dataset or of a wrapper of some.
        folder (Path): Where the files are written.
    """
    dataset = copy.deepcopy(dataset)
    for part in stock_datasets(dataset):
        write(part, folder)
        part.update(
            data_root='',
            ann_file=str(folder / ann_name(part)),
            data_prefix=dict(img=str(folder)),
        )
        part.pop('filter_cfg', None)
        if 'bbox_file' in part:
            part['bbox_file'] = None
        for key, name in EXTRA_FILES.items():
            if part.get(key):
                part[key] = str(folder / name)
    return dataset


def ann_name(dataset):
    name = dataset['type'].split('.')[-1]
    return f'{name}{dataset.get("subset", "")}.json'


def write(dataset, folder):
    """Write the image and the annotation file of a stock dataset."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 255, (SIZE, SIZE, 3), dtype=np.uint8)
    cv2.imwrite(str(folder / IMAGE), pixels)
    name = dataset['type'].split('.')[-1]
    if name == 'MpiiDataset':
        data = [mpii_person(box, rng) for box in BOXES]
        corners = np.array([[[x, y], [x + 20, y + 20]] for x, y, _, _ in BOXES])
        heads = dict(headboxes_src=corners.transpose(1, 2, 0).astype(float))
        savemat(folder / EXTRA_FILES['headbox_file'], heads)
    else:
        count = KEYPOINTS.get(name) or num_keypoints(dataset)
        image = dict(id=0, file_name=IMAGE, width=SIZE, height=SIZE)
        image.update(crowdIndex=0.5, frame_id=0)  # CrowdPose, PoseTrack18
        image.update(capture=0, camera='cam', frame_idx=0)  # InterHand
        data = dict(
            images=[image],
            annotations=[coco_person(i, count, rng) for i in range(len(BOXES))],
            categories=[dict(id=1, name='person')],
        )
    if name.startswith('InterHand'):
        write_cameras(folder, rng)
    (folder / ann_name(dataset)).write_text(json.dumps(data))


def num_keypoints(dataset):
    known = {key: dataset[key] for key in ('subset', 'metainfo') if key in dataset}
    empty = DATASETS.build(dict(type=dataset['type'], lazy_init=True, **known))
    return empty.metainfo['num_keypoints']


def keypoints_in(box, count, rng):
    x, y, width, height = box
    return rng.uniform(0.05, 0.95, (count, 2)) * (width, height) + (x, y)


def flat_keypoints(box, count, rng):
    return np.c_[keypoints_in(box, count, rng), np.full(count, 2)].ravel().tolist()


def coco_person(index, count, rng):
    box = BOXES[index]
    x, y, width, height = box
    keypoints = flat_keypoints(box, count, rng)
    person = dict(id=index, image_id=0, category_id=1, iscrowd=0, bbox=box)
    person.update(area=width * height, num_keypoints=count, keypoints=keypoints)
    person.update(segmentation=[], keypoints_21=flat_keypoints(box, 21, rng))
    person.update(center=[x + width / 2, y + height / 2], scale=height / 200)  # faces
    person.update(box_size=height, head_size=[height / 5], track_id=index)
    person.update(joint_valid=[[1]] * 42, hand_type='interacting', hand_type_valid=1)
    parts = dict(foot=6, face=68, lefthand=21, righthand=21)  # CocoWholeBody
    for part, number in parts.items():
        person[f'{part}_kpts'] = flat_keypoints(box, number, rng)
        person.update({f'{part}_box': box, f'{part}_valid': True})
    return person


def mpii_person(box, rng):
    x, y, width, height = box
    joints = keypoints_in(box, 16, rng).tolist()
    person = dict(image=IMAGE, joints=joints, joints_vis=[1] * 16, scale=height / 200)
    return dict(person, center=[x + width / 2, y + height / 2])


def write_cameras(folder, rng):
    """A camera at the origin that sees both hands of InterHand in the first box."""
    xy = keypoints_in(BOXES[0], 42, rng) - SIZE / 2
    world = np.c_[xy, np.ones(42)].tolist()
    camera = dict(campos=[0.0] * 3, camrot=np.eye(3).tolist(), focal=[1.0, 1.0])
    camera['princpt'] = [SIZE / 2, SIZE / 2]
    cameras = {'0': {key: dict(cam=value) for key, value in camera.items()}}
    joints = {'0': {'0': dict(world_coord=world)}}
    (folder / EXTRA_FILES['camera_param_file']).write_text(json.dumps(cameras))
    (folder / EXTRA_FILES['joint_file']).write_text(json.dumps(joints))
