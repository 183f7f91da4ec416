"""The authors' weights in our configs, against their network's outputs."""

import importlib.util
import pickle

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpose.registry import MODELS

from mipnet_mmpose import use_lambdas
from mipnet_mmpose.models.official_checkpoint import (
    OfficialModel,
    convert_state_dict,
    read_state_dict,
)

from ..conftest import REPO

TOOL = REPO / 'tools' / 'convert_official_checkpoint.py'
HRNET_POSITIONS = ['stage1_se', 'stage2_se', 'stage3_se', 'stage4_se']
RESNET_POSITIONS = ['layer1_se', 'layer2_se', 'layer3_se', 'layer4_se']


def load_module(name, path):
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


tool = load_module('convert_official_checkpoint', TOOL)


def convert(state, folder, capsys, *options):
    """Run the tool as a user would, and build what its config says."""
    src, dst = folder / 'official.pth', folder / 'out' / 'mipnet.pth'
    torch.save(state, src)
    tool.main([str(src), str(dst), *options])
    path = capsys.readouterr().out.splitlines()[-1]
    cfg = Config.fromfile(path)
    cfg.model.backbone.backbone.init_cfg = None
    model = MODELS.build(cfg.model).eval()
    checkpoint = torch.load(dst, weights_only=True)
    model.load_state_dict(checkpoint['state_dict'], strict=True)
    return model, cfg, path


def heatmaps(model, images, lambdas):
    """Shape (L, B, K, h, w)."""
    with torch.no_grad(), use_lambdas(model, lambdas):
        rows = model.head(model.backbone(images))
    return rows.unflatten(0, (-1, len(lambdas))).transpose(0, 1)


def hrnet(width):
    channels = [width * 2**i for i in range(4)]

    def stage(modules, branches, block='BASIC', blocks=4, widths=None):
        return dict(
            num_modules=modules,
            num_branches=branches,
            block=block,
            num_blocks=(blocks,) * branches,
            num_channels=tuple(widths or channels[:branches]),
        )

    extra = dict(
        stage1=stage(1, 1, 'BOTTLENECK', widths=[64]),
        stage2=stage(1, 2),
        stage3=stage(4, 3),
        stage4=stage(3, 4),
    )
    return MODELS.build(dict(type='HRNet', in_channels=3, extra=extra))


def resnet(depth=50):
    return MODELS.build(dict(type='ResNet', depth=depth))


def draw(shapes, seed=0):
    """Weights that keep the activations near unit scale."""
    generator = torch.Generator().manual_seed(seed)
    state = {}
    for name, shape in shapes.items():
        if name.endswith('num_batches_tracked'):
            state[name] = torch.tensor(1)
        elif name.endswith(('running_var', 'weight')) and len(shape) == 1:
            state[name] = 0.3 + 0.4 * torch.rand(shape, generator=generator)
        elif len(shape) == 1:
            state[name] = 0.1 * torch.randn(shape, generator=generator)
        else:
            fan_in = np.prod(shape[1:])
            state[name] = torch.randn(shape, generator=generator) / fan_in**0.5
    return state


def mimb_shapes(prefix, channels, num_instances):
    hidden = channels // 4
    return {
        f'{prefix}.fc.0.weight': (hidden, channels),
        f'{prefix}.fc.2.weight': (channels, hidden),
        f'{prefix}.fc_lambda.0.weight': (hidden, num_instances),
        f'{prefix}.fc_lambda.0.bias': (hidden,),
        f'{prefix}.fc_lambda.1.weight': (hidden,),
        f'{prefix}.fc_lambda.1.bias': (hidden,),
        f'{prefix}.fc_lambda.1.running_mean': (hidden,),
        f'{prefix}.fc_lambda.1.running_var': (hidden,),
        f'{prefix}.fc_lambda.1.num_batches_tracked': (),
        f'{prefix}.fc_lambda.3.weight': (channels, hidden),
        f'{prefix}.fc_lambda.3.bias': (channels,),
    }


def official_shapes(net, positions, num_instances=2, num_keypoints=17):
    """Shapes by the authors' names for a stock backbone."""
    shapes = {key: tuple(value.shape) for key, value in net.state_dict().items()}
    if hasattr(net, 'stage4'):
        width = shapes['stage4.0.branches.0.0.conv1.weight'][0]
        channels = {
            name: [width * 2**i for i in range(num)]
            for name, num in zip(HRNET_POSITIONS, (2, 3, 4, 1))
        }
        shapes['final_layer.weight'] = (num_keypoints, width, 1, 1)
    else:
        channels = dict(zip(RESNET_POSITIONS, ([64], [256], [512], [1024])))
        for index, width in zip((0, 3, 6), (2048, 256, 256)):
            shapes[f'deconv_layers.{index}.weight'] = (width, 256, 4, 4)
            for leaf in ('weight', 'bias', 'running_mean', 'running_var'):
                shapes[f'deconv_layers.{index + 1}.{leaf}'] = (256,)
        shapes['final_layer.weight'] = (num_keypoints, 256, 1, 1)
    shapes['final_layer.bias'] = (num_keypoints,)
    for name in positions:
        for index, width in enumerate(channels[name]):
            prefix = f'{name}.se_layers.{index}'
            shapes.update(mimb_shapes(prefix, width, num_instances))
    return shapes


# ---- what converts


@pytest.fixture(scope='module')
def small_state():
    return draw(official_shapes(hrnet(8), HRNET_POSITIONS[2:]))


@pytest.mark.parametrize('model', ['hrnet_w8', 'resnet50'])
def test_both_lambdas_equal_the_authors_network(golden_dir, tmp_path, capsys, model):
    weights = load_module('weights', golden_dir / 'weights.py')
    state = weights.official_state_dict(model)
    ours, _, path = convert(state, tmp_path, capsys)
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
    positions = ['stage1_se', 'stage4_se']
    state = draw(official_shapes(hrnet(8), positions, num_instances=3), seed=3)
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
        # written from one of MMPose
        pytest.param(32, 2, 17, '384x288', None, marks=pytest.mark.slow),
        (50, 4, 14, '256x192', None),
    ],
)
def test_the_config_is_of_the_model(
    size, num_instances, num_keypoints, input_size, config
):
    with torch.device('meta'):  # the shapes are enough
        net = resnet(size) if size == 50 else hrnet(size)
    positions = (RESNET_POSITIONS if size == 50 else HRNET_POSITIONS)[2:]
    shapes = official_shapes(net, positions, num_instances, num_keypoints)
    state = {key: torch.empty(shape, device='meta') for key, shape in shapes.items()}
    official = OfficialModel(state, 'official.pth')
    cfg, path = tool.choose_config(official, input_size)
    assert path == (config and REPO / 'configs' / f'{config}-{input_size}.py')
    if path is None:
        converted = convert_state_dict(state, official, cfg.model, 'official.pth')
        assert len(converted) > len(state)
    height, width = map(int, input_size.split('x'))
    assert tuple(cfg.model.head.head.decoder.input_size) == (width, height)
    assert cfg.train_dataloader.dataset.num_instances == num_instances


@pytest.mark.slow
def test_a_checkpoint_may_be_nested_parallel_or_old(tmp_path, capsys, small_state):
    parallel = {f'module.{key}': value for key, value in small_state.items()}
    training = dict(epoch=3, model='pose_hrnet_se_lambda', state_dict=parallel)
    for layout in (parallel, training):
        torch.save(layout, tmp_path / 'official.pth')
        found = read_state_dict(tmp_path / 'official.pth')
        assert found.keys() == small_state.keys()
        assert all(torch.equal(found[key], small_state[key]) for key in found)
    counters = [key for key in small_state if key.endswith('num_batches_tracked')]
    old = {key: value for key, value in small_state.items() if key not in counters}
    assert len(old) < len(small_state)
    convert(old, tmp_path, capsys)


# ---- what does not


def plain_hrnet(state):
    return {key: value for key, value in state.items() if '_se.' not in key}


def without_a_key(state):
    missing = 'stage3.1.branches.2.0.bn1.bias'
    return {key: value for key, value in state.items() if key != missing}


def with_another_key(state):
    return dict(state, extra=torch.zeros(1))


def mimbs_of_another_width(state):
    other = draw(mimb_shapes('stage4_se.se_layers.0', 16, 2))
    return dict(state, **other)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        (plain_hrnet, 'plain HRNet-W8'),
        (without_a_key, 'missing: stage3.1.branches.2.0.bn1.bias'),
        (with_another_key, 'unexpected: extra'),
        (
            mimbs_of_another_width,
            'wrong shape: stage4_se.se_layers.0.fc.0.weight (4, 16), expected (2, 8)',
        ),
        (lambda state: {'a': torch.zeros(1)}, 'neither an HRNet nor a ResNet'),
        (lambda state: {'epoch': 3}, 'no state dict'),
        (lambda state: [1, 2], 'no state dict'),
        (lambda state: REPO, 'weights_only'),
    ],
    ids=lambda value: getattr(value, '__name__', 'message'),
)
def test_a_bad_checkpoint_is_refused(tmp_path, small_state, change, message):
    src = tmp_path / 'bad.pth'
    torch.save(change(small_state), src)
    with pytest.raises(SystemExit) as stop:
        tool.main([str(src), str(tmp_path / 'out' / 'mipnet.pth')])
    assert stop.value.code.startswith(f'error: {src}')
    assert message in stop.value.code
    assert list(tmp_path.iterdir()) == [src]


@pytest.mark.parametrize('content', ['truncated', 'pickle', 'text', 'empty', 'absent'])
def test_a_file_that_is_no_checkpoint_is_refused(tmp_path, small_state, content):
    src = tmp_path / 'bad.pth'
    if content == 'truncated':
        torch.save(small_state, src)
        src.write_bytes(src.read_bytes()[: src.stat().st_size // 2])
    elif content == 'pickle':
        src.write_bytes(pickle.dumps({'weights': [1.0, 2.0]}, protocol=4))
    elif content != 'absent':
        src.write_text('no checkpoint' if content == 'text' else '')
    with pytest.raises(SystemExit) as stop:
        tool.main([str(src), str(tmp_path / 'mipnet.pth')])
    (line,) = stop.value.code.splitlines()
    assert line.startswith(f'error: {src}')
    assert set(tmp_path.iterdir()) <= {src}
