"""The authors' weights in our configs, against their network's outputs."""

import importlib
import re

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpose.registry import MODELS
from torch import nn

from mipnet_mmpose import use_lambdas
from mipnet_mmpose.models.official_checkpoint import (
    OfficialModel,
    convert_state_dict,
    read_state_dict,
)

from ..conftest import REPO, head_config, hrnet_config, load_tool, run_script

tool = load_tool('convert_official_checkpoint')


def convert(state, folder, capsys):
    """Run the tool as a user would, and build what its config says."""
    src, dst = folder / 'official.pth', folder / 'out' / 'mipnet.pth'
    torch.save(state, src)
    run_script(tool, src, dst)
    path = capsys.readouterr().out.splitlines()[-1]
    cfg = Config.fromfile(path)
    cfg.model.backbone.backbone.init_cfg = None
    model = MODELS.build(cfg.model).eval()
    model.load_state_dict(torch.load(dst, weights_only=True)['state_dict'])
    return model, cfg, path


def heatmaps(model, images, lambdas):
    """Shape (L, B, K, h, w)."""
    with torch.no_grad(), use_lambdas(model, lambdas):
        rows = model.head(model.backbone(images))
    return rows.unflatten(0, (-1, len(lambdas))).transpose(0, 1)


def network(size, positions, num_instances=2, num_keypoints=17):
    """ResNet-50, or HRNet of the width ``size``; our name of each of the authors'."""
    deconv = size == 50
    resnet = dict(type='ResNet', depth=50)
    backbone = resnet if deconv else hrnet_config(size, full=True)
    places = [PLACES[position] for position in positions]
    places = [dict(module=module, position=where) for module, where in places]
    cfg = dict(type='MIMBBackbone', backbone=backbone, insert=places)
    cfg.update(num_instances=num_instances, input_size=(64, 64))
    head = dict(type='HeatmapHead', in_channels=2048) if deconv else head_config(size)
    head['out_channels'] = num_keypoints
    names = {}
    net = nn.Sequential(MODELS.build(cfg), MODELS.build(head))
    for key in net.state_dict():
        name = key[2:]
        match = re.fullmatch(r'mimbs\.(\d)\.mimbs\.(\d)\.(excite|embed)\.(.*)', name)
        if match:
            place, branch, layers, rest = match.groups()
            layers = dict(excite='fc', embed='fc_lambda')[layers]
            name = f'{positions[int(place)]}.se_layers.{branch}.{layers}.{rest}'
        if not name.endswith(('gate_scale', 'bypass_primary')):
            names[name] = key
    return net, names


def official_state(*args, **kwargs):
    """Random weights of such a network by the authors' names."""
    net, names = network(*args, **kwargs)
    state = net.state_dict()
    return {name: state[key] for name, key in names.items()}


# where the authors' MIMBs are in MMPose's backbones
PLACES = {f'layer{n}_se': (f'layer{n}', 'before') for n in range(1, 5)}
PLACES.update({f'stage{n}_se': (f'stage{n + 1}', 'before') for n in range(1, 4)})
PLACES['stage4_se'] = ('stage4', 'after')
HRNET, RESNET = ['stage3_se', 'stage4_se'], ['layer3_se', 'layer4_se']


@pytest.fixture(scope='module')
def small_state():
    return official_state(8, HRNET)


@pytest.mark.parametrize('model', ['hrnet_w8', 'resnet50'])
def test_both_lambdas_equal_the_authors_network(golden_dir, tmp_path, capsys, model):
    weights = importlib.import_module('weights')
    ours, _, path = convert(weights.official_state_dict(model), tmp_path, capsys)
    if model == 'resnet50':
        name = 'td-hm_mipnet-res50_8xb64-210e_coco-384x288.py'
        assert path == str(REPO / 'configs' / 'coco' / name)
        assert [p.name for p in (tmp_path / 'out').iterdir()] == ['mipnet.pth']
    out = heatmaps(ours, weights.reference_input(256, 192), [0, 1])
    expected = np.load(golden_dir / f'{model}.outputs.npz')
    for found, name in zip(out.numpy(), ('primary', 'secondary')):
        difference = np.abs(found - expected[name]).max()
        assert difference <= 1e-4 * np.abs(expected[name]).max()


@pytest.mark.slow
def test_other_positions_and_three_instances(tmp_path, capsys):
    """As the authors' code has them: after stage 1 is before ours of stage 2."""
    state = official_state(8, ['stage1_se', 'stage4_se'], num_instances=3)
    counters = [key for key in state if key.endswith('num_batches_tracked')]
    state = {key: state[key] for key in state if key not in counters}  # an old file
    model, cfg, path = convert(state, tmp_path, capsys)
    assert path == str(tmp_path / 'out' / 'mipnet.py')
    assert [tuple(place.values()) for place in cfg.model.backbone.insert] == [
        ('stage2', 'before'),
        ('stage4', 'after'),
    ]
    ours = model.state_dict()
    for key, name in {
        'mimbs.0.mimbs.1.excite.2.weight': 'stage1_se.se_layers.1.fc.2.weight',
        'mimbs.1.mimbs.0.embed.0.weight': 'stage4_se.se_layers.0.fc_lambda.0.weight',
        'stage3.0.branches.0.0.conv1.weight': 'stage3.0.branches.0.0.conv1.weight',
    }.items():
        assert torch.equal(ours[f'backbone.{key}'], state[name])
    assert heatmaps(model, torch.randn(1, 3, 64, 64), [0, 1, 1.5, 2]).shape[0] == 4


@pytest.mark.parametrize(
    ('size', 'num_instances', 'num_keypoints', 'input_size', 'config'),
    [
        (32, 2, 17, '256x192', 'coco/td-hm_mipnet-hrnet-w32_8xb64-210e_coco'),
        (48, 3, 17, '384x288', 'coco/td-hm_mipnet-hrnet-w48_n3-8xb32-210e_coco'),
        (32, 2, 14, '256x192', 'crowdpose/td-hm_mipnet-hrnet-w32_8xb64-210e_crowdpose'),
        (50, 4, 14, '256x192', None),  # written from one of MMPose
    ],
)
def test_the_config_is_of_the_model(
    size, num_instances, num_keypoints, input_size, config
):
    with torch.device('cpu' if config is None else 'meta'):  # the shapes are enough
        positions = RESNET if size == 50 else HRNET
        state = official_state(size, positions, num_instances, num_keypoints)
    official = OfficialModel(state, 'official.pth')
    cfg, path = tool.choose_config(official, input_size)
    assert path == (config and REPO / 'configs' / f'{config}-{input_size}.py')
    if path is None:
        converted = convert_state_dict(state, official, cfg.model, 'official.pth')
        assert len(converted) > len(state)
    height, width = map(int, input_size.split('x'))
    assert tuple(cfg.model.head.head.decoder.input_size) == (width, height)
    assert cfg.train_dataloader.dataset.num_instances == num_instances


def test_a_checkpoint_may_be_nested_or_parallel(tmp_path, small_state):
    parallel = {f'module.{key}': value for key, value in small_state.items()}
    training = dict(epoch=3, model='pose_hrnet_se_lambda', state_dict=parallel)
    for layout in (parallel, training):
        torch.save(layout, tmp_path / 'official.pth')
        found = read_state_dict(tmp_path / 'official.pth')
        assert found.keys() == small_state.keys()
        assert all(torch.equal(found[key], small_state[key]) for key in found)


def plain_hrnet(state):
    return {key: value for key, value in state.items() if '_se.' not in key}


def with_wrong_keys(state):
    state = dict(state, extra=state['bn1.bias'])
    state['stage4_se.se_layers.0.fc.0.weight'] = torch.zeros(4, 16)
    del state['stage3.1.branches.2.0.bn1.bias']
    return state


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (plain_hrnet, 'plain HRNet-W8'),
        (
            with_wrong_keys,
            'Missing key.*"backbone.stage3.1.branches.2.0.bn1.bias"'
            '(.|\\n)*Unexpected .*"backbone.extra"'
            '(.|\\n)*size mismatch .*mimbs.1.mimbs.0.excite.*4, 16.*2, 8',
        ),
        (lambda state: {'a': torch.zeros(1)}, 'neither an HRNet nor a ResNet'),
        (lambda state: {'epoch': 3}, 'no state dict'),
        (lambda state: REPO, 'weights_only'),
    ],
)
def test_a_bad_checkpoint_is_refused(tmp_path, small_state, change, message):
    src = tmp_path / 'bad.pth'
    torch.save(change(small_state), src)
    with pytest.raises(SystemExit) as stop:
        run_script(tool, src, tmp_path / 'out' / 'mipnet.pth')
    assert stop.value.code.startswith(f'error: {src}')
    assert re.search(message, stop.value.code)
    assert list(tmp_path.iterdir()) == [src]
