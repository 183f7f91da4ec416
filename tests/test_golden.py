"""Against outputs of the authors' network (skipped where they are absent)."""

import importlib.util
import re

import numpy as np
import pytest
import torch
from mmpose.registry import MODELS


def rename(key):
    """A key of the authors' HRNet in ours."""
    match = re.match(r'stage([34])_se\.se_layers\.(\d)\.(fc|fc_lambda)\.(.*)', key)
    if not match:
        return key
    place, branch, layers, rest = match.groups()
    layers = 'excite' if layers == 'fc' else 'embed'
    return f'mimbs.{int(place) - 3}.mimbs.{branch}.{layers}.{rest}'


@pytest.mark.parametrize(('model', 'width'), [('hrnet_w8', 8), ('hrnet_w32', 32)])
def test_both_lambdas_equal_the_authors_network(golden_dir, model, width):
    spec = importlib.util.spec_from_file_location('weights', golden_dir / 'weights.py')
    weights = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(weights)

    channels = [width, 2 * width, 4 * width, 8 * width]
    stages = {
        f'stage{n}': dict(
            num_modules=modules,
            num_branches=n,
            block='BASIC',
            num_blocks=(4,) * n,
            num_channels=tuple(channels[:n]),
        )
        for n, modules in ((2, 1), (3, 4), (4, 3))
    }
    stages['stage1'] = dict(
        num_modules=1,
        num_branches=1,
        block='BOTTLENECK',
        num_blocks=(4,),
        num_channels=(64,),
    )
    backbone = dict(type='HRNet', in_channels=3, extra=stages)
    net = MODELS.build(dict(type='MIMBBackbone', backbone=backbone))
    final_layer = torch.nn.Conv2d(width, 17, 1)

    state = {rename(k): v for k, v in weights.official_state_dict(model).items()}
    final_layer.load_state_dict(
        {key: state.pop(f'final_layer.{key}') for key in ('weight', 'bias')}
    )
    report = net.load_state_dict(state, strict=False)
    assert not report.unexpected_keys
    assert all(key.endswith('gate_scale') for key in report.missing_keys)

    expected = np.load(golden_dir / f'{model}.outputs.npz')
    net.eval()
    with torch.no_grad():
        heatmaps = final_layer(net(weights.reference_input(256, 192))[0])
    for i, name in enumerate(('primary', 'secondary')):
        difference = np.abs(heatmaps[i::2].numpy() - expected[name]).max()
        assert difference <= 1e-4 * np.abs(expected[name]).max()
