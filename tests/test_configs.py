"""Every config, and what the README tells a user to write, builds."""

import re

import pytest
from mmengine.config import Config
from mmpose.registry import METRICS, MODELS

from mipnet_mmpose import MIMB
from mipnet_mmpose.models.heads import MIPNetHead

from .conftest import REPO

CONFIGS = sorted((REPO / 'configs').glob('[!_]*/*.py'))  # not configs/_base_


def build(cfg):
    backbone = cfg.model.backbone
    backbone.get('backbone', backbone).init_cfg = None  # no download
    return MODELS.build(cfg.model)


def check_mipnet(cfg, num_instances=2):
    model = build(cfg)
    assert isinstance(model.head, MIPNetHead)
    assert any(isinstance(m, MIMB) for m in model.modules())
    assert cfg.train_dataloader.dataset.type == 'MultiInstanceDataset'
    assert cfg.train_dataloader.dataset.get('num_instances', 2) == num_instances
    for evaluator in (cfg.val_evaluator, cfg.test_evaluator):
        metric = METRICS.build(dict(evaluator, ann_file=None))
        assert metric.num_instances == num_instances


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_config_builds(path):
    cfg = Config.fromfile(path)
    if 'mipnet' in path.stem:
        instances = re.search(r'_n(\d)-', path.stem)
        check_mipnet(cfg, int(instances[1]) if instances else 2)
    else:
        build(cfg)


@pytest.mark.parametrize('path', CONFIGS, ids=lambda path: path.stem)
def test_a_mipnet_config_is_a_short_delta(path):
    if 'mipnet' in path.stem:
        assert len(path.read_text().splitlines()) < 60


def test_the_readmes_config_builds(tmp_path):
    blocks = re.findall(r'```python\n(.*?)```', (REPO / 'README.md').read_text(), re.S)
    path = tmp_path / 'config.py'
    path.write_text(next(block for block in blocks if block.startswith('_base_')))
    check_mipnet(Config.fromfile(path))
