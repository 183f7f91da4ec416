"""A small MIPNet with random weights, as files and as a model."""

import copy
import functools

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpose.apis import init_model
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import MODELS

from ..conftest import (
    CODEC,
    coco_dataset_config,
    estimator_config,
    train_pipeline,
    val_pipeline,
)


def pose_config():
    """A whole config around a small MIPNet."""
    train = coco_dataset_config('data', train_pipeline(CODEC))
    test = coco_dataset_config('data', val_pipeline(CODEC), test_mode=True)
    visualizer = dict(type='PoseLocalVisualizer', name='visualizer')
    return Config(
        dict(
            default_scope='mmpose',
            custom_imports=dict(imports=['mipnet_mmpose']),
            dataset_type='CocoDataset',
            data_mode='topdown',
            model=estimator_config('neck', flip_test=True, flip_mode='heatmap'),
            train_dataloader=dict(
                dataset=dict(type='MultiInstanceDataset', dataset=train)
            ),
            test_dataloader=dict(dataset=test),
            test_evaluator=dict(type='MultiInstanceCocoMetric'),
            visualizer=dict(visualizer, vis_backends=[dict(type='LocalVisBackend')]),
        )
    )


def random_weights(model_config):
    """Weights under which the two λ give different poses."""
    torch.manual_seed(2)  # with 0 the MIMB's ReLU are dead
    model = MODELS.build(model_config)
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
        elif 'embed' in name and isinstance(module, torch.nn.Linear):
            torch.nn.init.normal_(module.weight, std=3)
            torch.nn.init.ones_(module.bias)
    return model.state_dict()


@pytest.fixture(scope='session')
def pose_files(tmp_path_factory):
    """Paths of a config and of a checkpoint with ``dataset_meta``."""
    folder = tmp_path_factory.mktemp('pose_model')
    cfg = pose_config()
    cfg.dump(folder / 'config.py')
    meta = parse_pose_metainfo(dict(from_file='configs/_base_/datasets/coco.py'))
    torch.save(
        dict(state_dict=random_weights(cfg.model), meta=dict(dataset_meta=meta)),
        folder / 'weights.pth',
    )
    return str(folder / 'config.py'), str(folder / 'weights.pth')


@functools.cache
def built_model(config, checkpoint):
    return init_model(config, checkpoint, device='cpu')


@pytest.fixture
def model(pose_files):
    return copy.deepcopy(built_model(*pose_files))


@pytest.fixture
def photo():
    """A picture with some structure, BGR, and boxes in it."""
    rng = np.random.default_rng(0)
    image = cv2.resize(rng.integers(0, 255, (12, 16, 3), np.uint8), (160, 120))
    boxes = np.array([[20, 10, 90, 110], [35, 12, 105, 112], [90, 40, 150, 118]], 'f4')
    return image, boxes


@pytest.fixture
def video_file(tmp_path):
    """Twelve frames of moving noise, MJPEG."""
    noise = np.random.default_rng(0).integers(0, 255, (14, 32, 3), np.uint8)
    noise = cv2.resize(noise, (320, 140), interpolation=cv2.INTER_CUBIC)
    path = str(tmp_path / 'video.avi')
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*'MJPG'), 25, (160, 120))
    for i in range(12):
        writer.write(noise[i : i + 120, 8 * i : 8 * i + 160])
    writer.release()
    return path


def read_video(path):
    capture, frames = cv2.VideoCapture(str(path)), []
    while capture.grab():
        frames.append(capture.retrieve()[1])
    return frames
