"""Small models and datasets that several test modules share."""

import importlib
import json
import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.registry import init_default_scope

import mipnet_mmpose  # noqa: F401 (registers the plugin)

REPO = Path(__file__).parents[1]
sys.path += [str(REPO / 'tools'), str(REPO / 'studies')]


def pytest_configure(config):
    init_default_scope('mmpose')
    torch.set_num_threads(1 if 'PYTEST_XDIST_WORKER' in os.environ else 2)


def pytest_collection_modifyitems(items):
    """The longest test first: at the end the other worker would wait for it."""
    items.sort(key=lambda item: 'test_quickstart.py' not in item.nodeid)


def _shared(variable, folder):
    path = Path(os.environ.get(variable, REPO.parent / 'shared' / folder))
    if not path.is_dir():
        pytest.skip(f'{folder} is not here; set {variable} to its folder')
    return path


@pytest.fixture(autouse=True)
def mmpose_scope():
    """Names of MMPose's registries, whatever a test before built from mmdet.

    And no annotation file: a dataset in test mode names its own to all metrics.
    """
    init_default_scope('mmpose')
    MessageHub._instance_dict.clear()


@pytest.fixture
def golden_dir(monkeypatch):
    """Outputs of the authors' network; ``weights`` is a module there."""
    path = _shared('MIPNET_GOLDEN', 'golden')
    monkeypatch.syspath_prepend(path)
    return path


@pytest.fixture
def weights_dir():
    """Small networks trained on COCO."""
    return _shared('MIPNET_WEIGHTS', 'weights')


@pytest.fixture
def real_data():
    """Pieces of public datasets with photographs."""
    return _shared('MIPNET_REAL_DATA', 'data/real')


def load_tool(name):
    """A script of ``tools/`` or ``studies/`` as a module."""
    return importlib.import_module(name)


def run_script(tool, *args):
    """Run a script of ``tools/`` with these arguments, as its user does."""
    tool.run_tool(tool.run, tool.parse_args([str(arg) for arg in args]))


def hrnet_config(width=8, full=False):
    """A stock HRNet, small or with all its blocks."""
    modules, blocks, stem = ((1, 4, 3), 4, 64) if full else ((1, 1, 1), 1, 16)
    channels = [width, 2 * width, 4 * width, 8 * width]
    extra = {
        f'stage{n}': dict(
            num_modules=modules[n - 2],
            num_branches=n,
            block='BASIC',
            num_blocks=(blocks,) * n,
            num_channels=tuple(channels[:n]),
        )
        for n in (2, 3, 4)
    }
    extra['stage1'] = dict(
        num_modules=1,
        num_branches=1,
        block='BOTTLENECK',
        num_blocks=(blocks,),
        num_channels=(stem,),
    )
    return dict(type='HRNet', in_channels=3, extra=extra)


CODEC = dict(type='MSRAHeatmap', input_size=(96, 128), heatmap_size=(24, 32), sigma=1.5)


def head_config(channels=8, codec=CODEC):
    """The stock heatmap head behind :func:`hrnet_config`."""
    return dict(
        type='HeatmapHead',
        in_channels=channels,
        out_channels=17,
        deconv_out_channels=None,
        loss=dict(type='KeypointMSELoss', use_target_weight=True),
        decoder=codec,
    )


def estimator_config(where='backbone', num_instances=2, init='paper', **test_cfg):
    """A small MIPNet, or with ``where=None`` its stock baseline."""
    parts = dict(backbone=hrnet_config(), head=head_config())
    fold = dict(num_instances=num_instances, init=init)
    if where == 'backbone':
        backbone = dict(type='MIMBBackbone', backbone=parts['backbone'], **fold)
        parts['backbone'] = dict(backbone, input_size=(96, 128))
    elif where == 'neck':
        parts['neck'] = dict(type='MIMBNeck', in_channels=8, **fold)
    if where:
        parts['head'] = dict(type='MIPNetHead', head=parts['head'])
    preprocessor = dict(
        type='PoseDataPreprocessor',
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
    )
    return dict(
        type='TopdownPoseEstimator',
        data_preprocessor=preprocessor,
        test_cfg=test_cfg,
        **parts,
    )


def train_pipeline(codec=CODEC, use_udp=False, augment=True):
    """MMPose's own training pipeline."""
    augmentations = [
        dict(type='RandomFlip', direction='horizontal'),
        dict(type='RandomHalfBody'),
        dict(type='RandomBBoxTransform'),
    ]
    return [
        dict(type='LoadImage'),
        dict(type='GetBBoxCenterScale'),
        *(augmentations if augment else []),
        dict(type='TopdownAffine', input_size=codec['input_size'], use_udp=use_udp),
        dict(type='GenerateTarget', encoder=codec),
        dict(type='PackPoseInputs'),
    ]


def val_pipeline(codec=CODEC):
    """MMPose's own test pipeline."""
    return [
        dict(type='LoadImage'),
        dict(type='GetBBoxCenterScale'),
        dict(type='TopdownAffine', input_size=codec['input_size']),
        dict(type='PackPoseInputs'),
    ]


def person(ann_id, image_id, left, top, width, height, seed=0, **changes):
    """A COCO annotation with 17 labelled keypoints inside its box."""
    rng = np.random.default_rng([seed, ann_id])
    xy = rng.uniform(0.05, 0.95, (17, 2)) * (width, height) + (left, top)
    keypoints = np.concatenate([xy, np.full((17, 1), 2)], axis=1)
    annotation = dict(
        id=ann_id,
        image_id=image_id,
        category_id=1,
        iscrowd=0,
        bbox=[left, top, width, height],
        area=width * height,
        num_keypoints=17,
        keypoints=keypoints.ravel().round(2).tolist(),
    )
    annotation.update(changes)
    return annotation


@pytest.fixture
def coco_folder(tmp_path):
    """Write a COCO-style dataset of noise images with the given persons."""

    def write(annotations, images=None, size=(160, 120), **image_fields):
        width, height = size
        ids = sorted({a['image_id'] for a in annotations}) if images is None else images
        rng = np.random.default_rng(0)
        records = []
        for image_id in ids:
            name = f'{image_id:06d}.png'
            pixels = rng.integers(0, 255, (height, width, 3), dtype=np.uint8)
            cv2.imwrite(str(tmp_path / name), pixels)
            record = dict(id=image_id, file_name=name, width=width, height=height)
            records.append(dict(record, **image_fields))
        data = dict(images=records, annotations=annotations)
        data['categories'] = [dict(id=1, name='person')]
        (tmp_path / 'annotations.json').write_text(json.dumps(data))
        return tmp_path

    return write


def rewrite(folder, change):
    """In the file that ``coco_folder`` wrote."""
    path = folder / 'annotations.json'
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def coco_dataset_config(folder, pipeline, **fields):
    """A stock dataset over a folder that ``coco_folder`` wrote."""
    return dict(
        type='CocoDataset',
        data_root=str(folder),
        ann_file='annotations.json',
        data_prefix=dict(img=''),
        pipeline=pipeline,
        **fields,
    )
