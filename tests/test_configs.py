"""Every config, and what the README tells a user to write, builds."""

import copy
import re
from contextlib import nullcontext
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.runner.checkpoint import load_checkpoint
from mmpose.datasets.transforms import RandomBBoxTransform
from mmpose.registry import METRICS, MODELS

from mipnet_mmpose import MIMB
from mipnet_mmpose.models.heads import MIPNetHead

from .conftest import REPO, estimator_config, load_tool

stock_model = load_tool('model_zoo').stock_model

CONFIGS = sorted((REPO / 'configs').glob('[!_]*/*.py'))  # not configs/_base_
PAPER = [p for p in CONFIGS if p.parent.name != 'synthcrowd']  # the paper's systems
WARM_STARTS = [p for p in PAPER if '_ft-' in p.stem]
STOCK = (
    Path(find_spec('mmpose').origin).parent
    / '.mim/configs/body_2d_keypoint/topdown_heatmap'
)


def by_name(paths):
    return pytest.mark.parametrize('path', paths, ids=lambda path: path.stem)


@lru_cache(maxsize=None)
def read(path):
    return Config.fromfile(path)


def load(path):
    """A config that the test may change."""
    return copy.deepcopy(read(path))


def build(cfg):
    """The model without memory for its weights, where torch can do that."""
    backbone = cfg.model.backbone
    backbone.get('backbone', backbone).init_cfg = None  # no download
    meta = torch.device('meta')
    with meta if hasattr(meta, '__enter__') else nullcontext():
        return MODELS.build(cfg.model)


def check_mipnet(cfg, num_instances=2):
    model = build(cfg)
    assert isinstance(model.head, MIPNetHead)
    assert any(isinstance(m, MIMB) for m in model.modules())
    assert cfg.train_dataloader.dataset.type == 'MultiInstanceDataset'
    assert cfg.train_dataloader.dataset.get('num_instances', 2) == num_instances
    # browse_dataset.py changes the last step of this
    last = plain(cfg.train_dataloader.dataset.pipeline[-1])
    assert last == dict(type='PackPoseInputs')
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        metric = METRICS.build(dict(evaluator, ann_file=None))
        assert metric.num_instances in (None, num_instances)  # None: as predicted


@pytest.mark.slow
@by_name(CONFIGS)
def test_config_builds(path):
    cfg = load(path)
    if 'mipnet' in path.stem:
        instances = re.search(r'_n(\d)-', path.stem)
        check_mipnet(cfg, int(instances[1]) if instances else 2)
    else:
        build(cfg)


@by_name(CONFIGS)
def test_a_mipnet_config_is_a_short_delta(path):
    if 'mipnet' in path.stem:
        assert len(path.read_text().splitlines()) < 60


def plain(tree):
    """A part of a config without the scope that a base of MMPose brings."""
    if isinstance(tree, dict):
        return {key: plain(value) for key, value in tree.items() if key != '_scope_'}
    return [plain(item) for item in tree] if isinstance(tree, (list, tuple)) else tree


def stock_config(path, dataset=None):
    """The config of MMPose that one of ours stands beside."""
    name = re.sub(r'mipnet-|ft-|n\d-|(?<=ochuman-)pose-', '', path.name)
    name = name.replace('-20e_', '-210e_')
    dataset = dataset or path.parent.name
    return STOCK / dataset / name.replace(f'_{path.parent.name}-', f'_{dataset}-')


@by_name(PAPER)
def test_config_adds_mipnet_to_mmposes_baseline_and_nothing_else(path):
    cfg = load(path)
    stock_path = stock_config(path)
    if not stock_path.is_file():  # MMPose has CrowdPose at 256x192, no OCHuman
        stock_path = stock_config(path, 'coco')
        # MMPose names no batch for W48 or ResNet-152 on CrowdPose
        if not stock_path.is_file():
            (stock_path,) = STOCK.glob(
                'coco/' + re.sub(r'_8xb\d+-', '_8xb*-', stock_path.name)
            )
    stock = load(stock_path)

    hooks = [hook.type for hook in cfg.custom_hooks]
    assert hooks == [*(h.type for h in stock.custom_hooks), 'MIPNetCheckHook']
    model = stock_model(cfg.model)
    model.head.out_channels = stock.model.head.out_channels
    if path in WARM_STARTS:
        model.backbone.init_cfg = stock.model.backbone.init_cfg
    assert plain(model) == plain(stock.model)
    keypoints = 14 if path.parent.name == 'crowdpose' else 17
    assert cfg.model.head.head.out_channels == keypoints

    train = cfg.train_dataloader.dataset.pipeline  # MMPose's browse_dataset reads it
    assert cfg.train_dataloader.dataset.dataset.pipeline == []
    for ours, theirs in zip(train, stock.train_pipeline):
        if theirs.type != 'RandomBBoxTransform':
            assert plain(ours) == plain(theirs)
    assert len(train) == len(stock.train_pipeline)
    assert plain(cfg.test_dataloader.dataset.pipeline) == plain(stock.val_pipeline)
    for key in ('batch_size', 'sampler', 'num_workers'):
        assert plain(cfg.train_dataloader[key]) == plain(stock.train_dataloader[key])


@by_name([path for path in PAPER if path.parent.name != 'ochuman'])
def test_data_and_boxes_are_mmposes(path):
    cfg = load(path)
    dataset = path.parent.name
    stock = load(STOCK / dataset / f'td-hm_res50_8xb64-210e_{dataset}-256x192.py')

    def data(part):
        return plain(dict(part, pipeline=None))

    train = cfg.train_dataloader.dataset.dataset
    assert data(train) == data(stock.train_dataloader.dataset)
    for split in ('val', 'test'):
        loader, evaluator = f'{split}_dataloader', f'{split}_evaluator'
        assert data(cfg[loader].dataset) == data(stock[loader].dataset)
        stock[evaluator].type = 'MultiInstanceCocoMetric'
        assert plain(stock[evaluator]).items() <= plain(cfg[evaluator]).items()


@by_name([path for path in PAPER if path.parent.name == 'ochuman'])
def test_ochuman_tests_what_coco_trains(path):
    cfg = load(path)
    name = re.sub('_ochuman-(pose-)?', '_coco-', path.name)
    coco = load(REPO / 'configs' / 'coco' / name)
    assert cfg.model == coco.model
    assert cfg.train_dataloader == coco.train_dataloader
    for split in ('val', 'test'):
        dataset = cfg[f'{split}_dataloader'].dataset
        assert (dataset.type, dataset.bbox_file) == ('OCHumanDataset', None)
        assert dataset.ann_file == (
            f'annotations/ochuman_pose_{split}.json'
            if '_ochuman-pose-' in path.name
            else f'annotations/ochuman_coco_format_{split}_range_0.00_1.00.json'
        )
        assert dataset.data_prefix == dict(img='images/')


@by_name(PAPER)
def test_protocol_is_the_authors(path):
    cfg = load(path)
    assert cfg.model.test_cfg == dict(
        flip_test=True, flip_mode='heatmap', shift_heatmap=True
    )
    for split in ('val', 'test'):
        evaluator = cfg[f'{split}_evaluator']
        assert evaluator.keypoint_score_thr == 0.2
        assert evaluator.score_decay == 0.5
        assert (evaluator.nms_mode, evaluator.nms_thr) == ('oks_nms', 0.9)
        dataset = cfg[f'{split}_dataloader'].dataset
        assert evaluator.ann_file == dataset.data_root + dataset.ann_file
    places = [(place.module, place.position) for place in cfg.model.backbone.insert]
    if cfg.model.backbone.backbone.type == 'HRNet':
        assert places == [('stage4', 'before'), ('stage4', 'after')]
    else:
        assert places == [('layer3', 'before'), ('layer4', 'before')]
    if path not in WARM_STARTS:
        assert plain(cfg.optim_wrapper.optimizer) == dict(type='Adam', lr=1e-3)
        assert cfg.train_cfg.max_epochs == 210
        assert cfg.param_scheduler[1].milestones == [170, 200]


def test_augmentation_has_the_authors_range():
    cfg = load(REPO / 'configs' / '_base_' / 'mipnet.py')
    settings = dict(cfg.random_bbox_transform)
    assert settings.pop('type') == 'RandomBBoxTransform'
    boxes = dict(bbox_center=np.zeros((10000, 2)), bbox_scale=np.ones((10000, 2)))
    np.random.seed(0)
    boxes = RandomBBoxTransform(**settings).transform(boxes)
    assert not boxes['bbox_center'].any()
    scale, angle = boxes['bbox_scale'], boxes['bbox_rotation']
    assert 0.65 <= scale.min() < 0.66 and 1.34 < scale.max() <= 1.35
    assert -90 <= angle.min() < -88 and 88 < angle.max() <= 90
    assert (angle != 0).mean() == pytest.approx(0.6, abs=0.03)
    # the figures that configs/_base_/mipnet.py names
    assert angle[angle != 0].std() == pytest.approx(48.6, abs=1)
    assert scale.std() == pytest.approx(0.19, abs=0.01)


@by_name(WARM_STARTS)
def test_warm_start_takes_the_weights_of_its_baseline(path):
    cfg = load(path)
    assert cfg.model.backbone.init == 'identity'
    weights = cfg.load_from.rsplit('/')[-1]
    size, dataset = path.stem.rsplit('-')[-1], path.parent.name
    backbone = re.search(r'mipnet-(.+?)_', path.stem)[1]
    assert f'{dataset}-{size}-' in weights or f'{dataset}_{size}-' in weights
    assert backbone.replace('-', '') in re.sub('[-_]', '', weights)

    family = 'hrnet' if 'hrnet' in backbone else 'resnet'
    metafile = yaml.safe_load((STOCK / dataset / f'{family}_{dataset}.yml').read_text())
    listed = {model['Name']: model['Weights'] for model in metafile['Models']}
    name = stock_config(path).stem
    assert cfg.load_from == listed[name]


def test_weights_of_mmpose_0_warm_start_lambda_0(tmp_path):
    # MMPose's checkpoints for CrowdPose are of 0.x, where the head had another name
    stock = MODELS.build(estimator_config(where=None))
    weights = stock.state_dict().items()
    old = {re.sub('^head', 'keypoint_head', key): value for key, value in weights}
    torch.save(dict(state_dict=old), tmp_path / 'old.pth')
    model = MODELS.build(estimator_config(init='identity'))
    load_checkpoint(model, str(tmp_path / 'old.pth'), map_location='cpu')
    stock.eval()
    model.eval()
    image = torch.randn(1, 3, 128, 96)
    with torch.no_grad():
        expected, (heatmaps, _) = stock._forward(image)[0], model._forward(image)
    torch.testing.assert_close(heatmaps, expected, atol=1e-6, rtol=0)
    assert expected.std() > 1e-4


def test_the_readmes_config_builds(tmp_path):
    blocks = re.findall(r'```python\n(.*?)```', (REPO / 'README.md').read_text(), re.S)
    path = tmp_path / 'config.py'
    path.write_text(next(block for block in blocks if block.startswith('_base_')))
    check_mipnet(load(path))
