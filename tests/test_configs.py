"""Every config builds, and differs from MMPose's as it says."""

import copy
import re
from functools import cache

import numpy as np
import pytest
import torch
import yaml
from mmengine.config import Config
from mmpose.datasets.transforms import RandomBBoxTransform
from mmpose.registry import DATASETS, METRICS, MODELS

from mipnet_mmpose import MIMB
from mipnet_mmpose.mmpose_files import find_config

from .conftest import REPO

CONFIGS = sorted((REPO / 'configs').glob('[!_]*/*.py'))  # not configs/_base_
PAPER = [p for p in CONFIGS if re.search('mipnet-(hrnet|res50)', p.stem)]
PLACES = dict(HRNet=['stage4:before', 'stage4:after'])
PLACES['ResNet'] = ['layer3:before', 'layer4:before']


@cache
def read(path):
    return Config.fromfile(path)


def by_name(paths):
    return pytest.mark.parametrize('path', paths, ids=lambda path: path.stem)


def plain(tree):
    """A part of a config without the scope that a base of MMPose brings."""
    if isinstance(tree, dict):
        return {key: plain(value) for key, value in tree.items() if key != '_scope_'}
    if isinstance(tree, (list, tuple)):
        return type(tree)(plain(item) for item in tree)
    return tree


@pytest.mark.slow
@by_name(CONFIGS)
def test_config_builds(path):
    cfg = copy.deepcopy(read(path))
    with torch.device('meta'):  # no memory for the weights
        model = MODELS.build(cfg.model)
    blocks = [m for m in model.modules() if isinstance(m, MIMB)]
    num = int((re.search(r'_n(\d)-', path.stem) or [2, 2])[1])
    assert bool(blocks) == ('mipnet' in path.stem)
    assert all(block.num_instances == num for block in blocks)
    dataset = cfg.train_dataloader.dataset
    assert (dataset.type == 'MultiInstanceDataset') == bool(blocks)
    if blocks:
        assert dataset.get('num_instances', 2) == num
        # browse_dataset.py changes the last step of this
        assert plain(dataset.pipeline[-1]) == dict(type='PackPoseInputs')
        assert DATASETS.get(dataset.dataset.type).METAINFO  # a stock dataset
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        METRICS.build(dict(evaluator, ann_file=None))
        assert evaluator.type.startswith('MultiInstance') == bool(blocks)


def test_every_config_is_in_a_metafile_that_the_index_names():
    index = yaml.safe_load((REPO / 'model-index.yml').read_text())['Import']
    files = [yaml.safe_load((REPO / path).read_text()) for path in index]
    models = [model for file in files for model in file['Models']]
    assert sorted(REPO / model['Config'] for model in models) == CONFIGS
    assert all(model['Name'] in model['Config'] for model in models)


def stock_of(path):
    """MMPose's config that one of ours stands beside; OCHuman's are COCO's."""
    name = re.sub(r'mipnet-|ft-|n\d-|(?<=ochuman-)pose-', '', path.stem)
    name = name.replace('-20e_', '-210e_').replace('ochuman', 'coco')
    return read(find_config(f'mmpose::{name}'))


@by_name(PAPER)
def test_config_adds_mipnet_to_mmposes_baseline_and_nothing_else(path):
    cfg, stock = read(path), stock_of(path)
    fine_tuned = '_ft-' in path.stem
    hooks = [hook.type for hook in cfg.custom_hooks]
    assert hooks == [*(h.type for h in stock.custom_hooks), 'MIPNetCheckHook']
    backbone = copy.deepcopy(cfg.model.backbone)
    if fine_tuned:
        backbone.backbone.init_cfg = stock.model.backbone.init_cfg
    assert plain(backbone.backbone) == plain(stock.model.backbone)
    places = [f'{place.module}:{place.position}' for place in backbone.insert]
    assert places == PLACES[backbone.backbone.type]
    head = dict(type='MIPNetHead', head=plain(stock.model.head))
    assert plain(cfg.model.head) == head
    assert plain(cfg.model.test_cfg) == plain(stock.model.test_cfg)

    train = cfg.train_dataloader.dataset
    inner = dict(train.dataset, pipeline=stock.train_pipeline)
    assert plain(inner) == plain(stock.train_dataloader.dataset)
    assert len(train.pipeline) == len(stock.train_pipeline)
    for ours, theirs in zip(train.pipeline, stock.train_pipeline):
        if theirs.type != 'RandomBBoxTransform':
            assert plain(ours) == plain(theirs)
    for split in ('val', 'test'):
        loader, metric = cfg[f'{split}_dataloader'], cfg[f'{split}_evaluator']
        assert metric.type == 'MultiInstanceCocoMetric'
        assert metric.ann_file == loader.dataset.data_root + loader.dataset.ann_file
        if path.parent.name == 'ochuman':
            assert loader.dataset.type == 'OCHumanDataset'
            assert split in loader.dataset.ann_file and not loader.dataset.bbox_file
            continue
        assert plain(loader) == plain(stock[f'{split}_dataloader'])
        theirs = dict(stock[f'{split}_evaluator'], type='MultiInstanceCocoMetric')
        assert plain(metric) == plain(theirs)
    if not fine_tuned:  # the authors' rate, MMPose's schedule
        assert plain(cfg.optim_wrapper.optimizer) == dict(type='Adam', lr=1e-3)
        assert plain(cfg.param_scheduler) == plain(stock.param_scheduler)


def test_augmentation_has_the_authors_range():
    settings = read(REPO / 'configs' / '_base_' / 'mipnet.py').random_bbox_transform
    settings = {key: value for key, value in settings.items() if key != 'type'}
    boxes = dict(bbox_center=np.zeros((10000, 2)), bbox_scale=np.ones((10000, 2)))
    np.random.seed(0)
    boxes = RandomBBoxTransform(**settings).transform(boxes)
    scale, angle = boxes['bbox_scale'], boxes['bbox_rotation']
    assert not boxes['bbox_center'].any()
    assert 0.65 <= scale.min() < 0.66 and 1.34 < scale.max() <= 1.35
    assert -90 <= angle.min() < -88 and 88 < angle.max() <= 90
    assert (angle != 0).mean() == pytest.approx(0.6, abs=0.03)
