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

from ..conftest import coco_dataset_config, train_pipeline, val_pipeline

CODEC = dict(type='MSRAHeatmap', input_size=(64, 96), heatmap_size=(16, 24), sigma=1)


def small_model():
    """A MIPNet of 8 channels and more, on crops of 64×96."""
    return dict(
        type='TopdownPoseEstimator',
        data_preprocessor=dict(
            type='PoseDataPreprocessor', mean=[128] * 3, std=[64] * 3, bgr_to_rgb=True
        ),
        backbone=dict(type='ResNet', depth=18, stem_channels=8, base_channels=8),
        neck=dict(type='MIMBNeck', in_channels=64),
        head=dict(
            type='MIPNetHead',
            head=dict(
                type='HeatmapHead',
                in_channels=64,
                out_channels=17,
                deconv_out_channels=(8, 8, 8),
                deconv_kernel_sizes=(4, 4, 4),
                loss=dict(type='KeypointMSELoss', use_target_weight=True),
                decoder=CODEC,
            ),
        ),
        test_cfg=dict(flip_test=True, flip_mode='heatmap'),
    )


def pose_config(**changes):
    """A whole config around the small MIPNet."""
    train = coco_dataset_config('data', train_pipeline(CODEC))
    cfg = dict(
        default_scope='mmpose',
        custom_imports=dict(imports=['mipnet_mmpose']),
        dataset_type='CocoDataset',
        data_mode='topdown',
        model=small_model(),
        train_dataloader=dict(dataset=dict(type='MultiInstanceDataset', dataset=train)),
        test_dataloader=dict(
            dataset=coco_dataset_config('data', val_pipeline(CODEC), test_mode=True)
        ),
        test_evaluator=dict(type='MultiInstanceCocoMetric'),
        visualizer=dict(
            type='PoseLocalVisualizer',
            name='visualizer',
            vis_backends=[dict(type='LocalVisBackend')],
        ),
    )
    cfg.update(changes)
    return Config(cfg)


def random_weights(model_config):
    """Weights under which the two λ give different poses."""
    torch.manual_seed(0)
    model = MODELS.build(model_config)
    for name, module in model.named_modules():
        if isinstance(module, (torch.nn.Conv2d, torch.nn.ConvTranspose2d)):
            torch.nn.init.kaiming_normal_(module.weight)
        elif 'embed' in name and isinstance(module, torch.nn.Linear):
            torch.nn.init.normal_(module.weight)
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
