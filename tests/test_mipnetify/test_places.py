"""The default places of each family, in a small network of it."""

import pytest
import torch
from mmpose.registry import MODELS

from mipnet_mmpose import MIMB, use_lambdas
from mipnet_mmpose.mipnetify.places import MIMB_PLACES, default_places
from mipnet_mmpose.models.mimb import map_features

from ..conftest import hrnet_config

LITE_HRNET = dict(
    stem=dict(stem_channels=16, out_channels=16, expand_ratio=1),
    num_stages=3,
    stages_spec=dict(
        num_modules=(1, 1, 1),
        num_branches=(2, 3, 4),
        num_blocks=(1, 1, 1),
        module_type=('LITE', 'LITE', 'LITE'),
        with_fuse=(True, True, True),
        reduce_ratios=(4, 4, 4),
        num_channels=((16, 32), (16, 32, 64), (16, 32, 64, 128)),
    ),
    with_head=True,
)
BACKBONES = {
    'AlexNet': dict(),
    'CPM': dict(in_channels=3, out_channels=5, feat_channels=8, num_stages=3),
    'CSPDarknet': dict(deepen_factor=0.33, widen_factor=0.125, out_indices=(4,)),
    'CSPNeXt': dict(deepen_factor=0.33, widen_factor=0.125, out_indices=(4,)),
    'HRNet': hrnet_config(),
    'HourglassNet': dict(
        downsample_times=2,
        stage_channels=(256, 16, 16),
        stage_blocks=(1, 1, 1),
        feat_channel=16,
    ),
    'LiteHRNet': dict(extra=LITE_HRNET),
    'MSPN': dict(unit_channels=16, num_stages=2, num_blocks=[1, 1, 1, 1]),
    'MobileNetV2': dict(widen_factor=0.25),
    'MobileNetV3': dict(arch='small'),
    'PyramidVisionTransformer': dict(
        pretrain_img_size=64, embed_dims=8, num_layers=[1] * 4, out_indices=(3,)
    ),
    'RSN': dict(unit_channels=16, num_stages=2, num_blocks=[1, 1, 1, 1]),
    'ResNet': dict(depth=18, base_channels=8),
    'ShuffleNetV1': dict(),
    'ShuffleNetV2': dict(widen_factor=0.5),
    'SwinTransformer': dict(
        embed_dims=12, depths=(1, 1, 2, 1), num_heads=(1, 1, 2, 2), out_indices=(3,)
    ),
    'VGG': dict(depth=11),
    'ViPNAS_MobileNetV3': dict(),
    'ViPNAS_ResNet': dict(depth=50),
    'VisionTransformer': dict(
        type='mmpretrain.VisionTransformer',
        arch=dict(embed_dims=16, num_layers=4, num_heads=2, feedforward_channels=32),
        img_size=64,
        out_type='featmap',
        with_cls_token=False,
    ),
}


def levels(net, x):
    found = []
    with torch.no_grad():
        map_features(found.append, net(x))
    return found


@pytest.mark.parametrize('family', MIMB_PLACES)
def test_outputs_depend_on_lambda_and_are_those_of_each_lambda_alone(family):
    if family == 'VisionTransformer':
        pytest.importorskip('mmpretrain')
    torch.manual_seed(0)  # drawn badly, a small network is silent at one output
    backbone = dict(dict(type=family), **BACKBONES[family])
    places = default_places(MODELS.build(backbone))
    size = (32, 32) if family == 'CPM' else (64, 64)
    cfg = dict(type='MIMBBackbone', backbone=backbone, insert=places, input_size=size)
    net = MODELS.build(cfg)
    for module in net.modules():
        if isinstance(module, MIMB):  # gates far from constant
            for parameter in module.parameters():
                torch.nn.init.normal_(parameter)
        elif isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = None
    net.double()
    x = torch.randn(2, 3, *size).double()
    with torch.no_grad():
        net(x)  # running statistics, so that small weights do not silence the net
    net.eval()
    together = levels(net, x)
    for i in range(2):
        with use_lambdas(net, [i]):
            alone = levels(net, x)
        for level, one in zip(together, alone):
            torch.testing.assert_close(level[i::2], one, rtol=1e-6, atol=1e-8)
    for level in together:
        assert not torch.allclose(level[::2], level[1::2], rtol=1e-3)


def test_a_class_of_a_family_gets_its_places():
    small = dict(type='ResNeXt', depth=50, groups=4, width_per_group=4)
    modules = [place['module'] for place in default_places(MODELS.build(small))]
    assert modules == ['layer3', 'layer4']


def test_an_unknown_family_is_named_with_what_there_is():
    net = torch.nn.Sequential(torch.nn.ReLU(), torch.nn.ReLU())
    with pytest.raises(ValueError, match=r'Sequential has no default.* are 0, 1\)'):
        default_places(net)
