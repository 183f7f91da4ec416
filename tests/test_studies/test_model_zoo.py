"""The metafiles and the tables of the model zoo."""

import json

import numpy as np
import pytest
import torch
import yaml
from mmengine.config import Config
from mmpose.registry import MODELS
from torch import nn

from ..conftest import REPO, estimator_config, load_tool

model_zoo = load_tool('model_zoo')


def models():
    index = yaml.safe_load((REPO / 'model-index.yml').read_text())
    for path in index['Import']:
        yield from yaml.safe_load((REPO / path).read_text())['Models']


def test_every_config_is_in_the_metafiles_and_the_tables():
    configs = {
        path.relative_to(REPO).as_posix()
        for path in (REPO / 'configs').glob('[!_]*/*.py')
    }
    assert {model['Config'] for model in models()} == configs
    tables = model_zoo.DOCS.read_text()
    for config in configs:
        assert f'](../{config})' in tables


def test_files_are_as_the_tool_writes_them():
    assert model_zoo.stale_files() == []


def test_a_stale_table_and_a_missing_config_are_told(monkeypatch, tmp_path):
    docs = tmp_path / 'model_zoo.md'
    docs.write_text(model_zoo.DOCS.read_text().replace('28.60', '28.61'))
    monkeypatch.setattr(model_zoo, 'DOCS', docs)
    assert model_zoo.stale_files() == [f'{docs} is out of date']
    configs = model_zoo.family_configs
    monkeypatch.setattr(model_zoo, 'family_configs', lambda f: configs(f)[1:])
    assert len(model_zoo.stale_files()) == len(model_zoo.FAMILIES)


def test_counts_are_those_of_the_design():
    counts = {model['Name']: model['Metadata'] for model in models()}
    small = counts['td-hm_mipnet-hrnet-w32_8xb64-210e_coco-256x192']
    assert round(small['Parameters'] / 1e6, 2) == 28.60
    assert round(small['Baseline Parameters'] / 1e6, 2) == 28.54
    assert round(small['FLOPs'] / small['Baseline FLOPs'], 2) == 1.38
    large = counts['td-hm_mipnet-hrnet-w48_8xb32-210e_coco-384x288']
    assert round(large['FLOPs'] / large['Baseline FLOPs'], 2) == 1.42


AUTHORS = dict(
    hrnet_w32='td-hm_mipnet-hrnet-w32_8xb64-210e_coco-256x192',
    hrnet_w48='td-hm_mipnet-hrnet-w48_8xb32-210e_coco-384x288',
    resnet50='td-hm_mipnet-res50_8xb64-210e_coco-256x192',
)


@pytest.mark.parametrize('network', AUTHORS)
def test_parameters_are_as_many_as_the_authors(golden_dir, network):
    shapes = json.loads((golden_dir / f'{network}.keys.json').read_text())
    statistics = ('running_mean', 'running_var', 'num_batches_tracked')
    expected = sum(
        int(np.prod(shape))
        for key, shape in shapes.items()
        if not key.endswith(statistics)
    )
    counts = {model['Name']: model['Metadata'] for model in models()}
    assert counts[AUTHORS[network]]['Parameters'] == expected


def test_counts_are_of_the_models_of_today():
    name = 'td-hm_mipnet-res18-small_8e_synthcrowd-128x96'
    (model,) = (model for model in models() if model['Name'] == name)
    cfg = Config.fromfile(REPO / model['Config'])
    counted = model_zoo.count(cfg.model, cfg.codec.input_size)
    metadata = model['Metadata']
    assert counted == (metadata['Parameters'], metadata['FLOPs'])
    counted = model_zoo.count(model_zoo.stock_model(cfg.model), cfg.codec.input_size)
    assert counted == (metadata['Baseline Parameters'], metadata['Baseline FLOPs'])


def test_multiply_adds_are_those_of_the_layers_that_run():
    config = estimator_config(num_instances=3)
    model = MODELS.build(config).eval()
    multiply_adds = []

    def record(layer, _, output):
        kernel = layer.weight[0].numel()
        multiply_adds.append(output.numel() * kernel)

    for module in model.modules():
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            module.register_forward_hook(record)
    with torch.no_grad():
        model._forward(torch.zeros(1, 3, 128, 96))
    parameters, counted = model_zoo.count(config, (96, 128))
    assert parameters == sum(p.numel() for p in model.parameters())
    # what MMPose counts besides: batch norm and upsampling
    assert sum(multiply_adds) < counted < 1.2 * sum(multiply_adds)
