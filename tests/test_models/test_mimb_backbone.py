import copy

import pytest
import torch
from mmpose.registry import MODELS
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from mipnet_mmpose import MIMB, use_lambdas

from ..conftest import hrnet_config

RESNET = dict(type='ResNet', depth=18, out_indices=(0, 1, 2, 3))
RESNET_PLACES = [dict(module=f'layer{n}', position='before') for n in (4, 3)]


def evaluating(net):
    net.eval()  # returns None for some stock backbones
    return net


def randomise(net):
    """Give every MIMB a gate far from constant."""
    for module in net.modules():
        if isinstance(module, MIMB):
            for parameter in module.parameters():
                torch.nn.init.normal_(parameter)
    return net


@pytest.mark.parametrize(
    ('backbone', 'insert'),
    [
        (hrnet_config(), [dict(module='stage2', position='before')]),
        (hrnet_config(), [dict(module='stage3', position='after')]),
        (RESNET, RESNET_PLACES),
    ],
)
@pytest.mark.parametrize('num_instances', [1, 2, 3])
def test_rows_equal_running_the_network_once_per_lambda(
    backbone, insert, num_instances
):
    cfg = dict(type='MIMBBackbone', backbone=backbone, insert=insert)
    net = MODELS.build(dict(cfg, num_instances=num_instances))
    net = evaluating(randomise(net))
    x = torch.randn(3, 3, 64, 64)
    with torch.no_grad():
        together = net(x)
        for i in range(num_instances):
            with use_lambdas(net, [i]):
                alone = net(x)
            for level, one in zip(together, alone):
                torch.testing.assert_close(
                    level[i::num_instances], one, rtol=1e-5, atol=1e-5
                )


def test_levels_taken_off_before_the_first_mimb_are_folded():
    cfg = dict(type='MIMBBackbone', backbone=RESNET, insert=RESNET_PLACES)
    net = evaluating(MODELS.build(cfg))
    assert [len(x) for x in net(torch.randn(2, 3, 64, 64))] == [4, 4, 4, 4]
    # in the order in which they run
    assert [place.mimbs[0].channels for place in net.mimbs] == [128, 256]


def test_paper_places_in_hrnet_hold_five_blocks():
    net = MODELS.build(dict(type='MIMBBackbone', backbone=hrnet_config(8)))
    channels = [[mimb.channels for mimb in place.mimbs] for place in net.mimbs]
    assert channels == [[8, 16, 32, 64], [8]]


@pytest.mark.slow
def test_hrnet_w32_costs_what_the_paper_says():
    stock = hrnet_config(32, full=True)
    mipnet = dict(type='MIMBBackbone', backbone=stock)
    parameters, flops = [], []
    with torch.device('meta'):  # the shapes are enough
        for cfg in (stock, mipnet):
            net = evaluating(MODELS.build(copy.deepcopy(cfg)))
            parameters.append(sum(p.numel() for p in net.parameters()))
            with FlopCounterMode(display=False) as counter:
                net(torch.zeros(1, 3, 256, 192))
            flops.append(counter.get_total_flops())
    assert parameters[1] / parameters[0] - 1 == pytest.approx(0.0024, abs=1e-4)
    assert flops[1] / flops[0] == pytest.approx(1.38, abs=0.01)


def test_initialising_weights_keeps_the_identity():
    stock = dict(hrnet_config(), init_cfg=dict(type='Normal', layer='Linear', std=1.0))
    net = MODELS.build(dict(type='MIMBBackbone', backbone=stock, init='identity'))
    net.init_weights()
    mimb = net.mimbs[0].mimbs[0]
    x = torch.randn(2, 8, 4, 4)
    assert torch.equal(mimb(x, torch.eye(2)), x)


def test_a_deep_copy_uses_its_own_blocks():
    net = randomise(MODELS.build(dict(type='MIMBBackbone', backbone=hrnet_config())))
    net.eval()
    x = torch.randn(1, 3, 64, 64)
    before = net(x)[0]
    other = copy.deepcopy(net)
    for parameter in other.mimbs.parameters():
        torch.nn.init.zeros_(parameter)
    assert torch.equal(net(x)[0], before)
    assert not torch.equal(other(x)[0], before)


def test_building_leaves_running_statistics_and_modes_alone():
    net = MODELS.build(dict(type='MIMBBackbone', backbone=hrnet_config()))
    assert net.bn1.num_batches_tracked == 0 and net.bn1.running_mean.abs().sum() == 0
    assert all(module.training for module in net.modules())


def test_building_needs_no_gpu_for_synchronised_batch_norm():
    resnet = dict(RESNET, norm_cfg=dict(type='SyncBN'))
    MODELS.build(dict(type='MIMBBackbone', backbone=resnet, insert=RESNET_PLACES))


class Patches(nn.Module):
    """A small ViT: patches as tokens, cut back into maps or pooled."""

    def __init__(self, by_images=False, pooled=False, size=(64, 64)):
        super().__init__()
        self.by_images, self.pooled, self.size = by_images, pooled, size
        self.patches = nn.Conv2d(3, 8, 16, 16)
        self.block = nn.Linear(8, 8)

    def forward(self, x):
        assert x.shape[2:] == self.size, 'wrong image size'  # as timm
        images = len(x)
        x = self.patches(x)
        h, w = x.shape[2:]
        x = self.block(x.flatten(2).transpose(1, 2))
        rows = images if self.by_images else len(x)
        if self.pooled:
            return (x.reshape(rows, -1, 8).mean(dim=1),)
        return (x.reshape(rows, h, w, -1).permute(0, 3, 1, 2),)


def test_a_vit_that_reshapes_by_the_batch_is_refused_when_it_is_built():
    """It would return N times the channels, and the MIMBs would do nothing."""
    place = [dict(module='block', position='before')]
    cfg = dict(type='MIMBBackbone', insert=place, input_size=(64, 64))
    good = MODELS.build(dict(cfg, backbone=dict(type=Patches)))
    assert good(torch.randn(2, 3, 64, 64))[0].shape == (4, 8, 4, 4)
    for pooled in (False, True):
        MODELS.build(dict(cfg, backbone=dict(type=Patches, pooled=pooled)))
        wrong = dict(type=Patches, by_images=True, pooled=pooled)
        with pytest.raises(ValueError, match='Patches returns .*Use MIMBNeck'):
            MODELS.build(dict(cfg, backbone=wrong))


def test_a_backbone_of_one_crop_size_says_so():
    place = [dict(module='block', position='before')]
    cfg = dict(type='MIMBBackbone', insert=place, backbone=dict(type=Patches))
    message = r'(?s)wrong image size.*input_size=\(192, 256\)'
    with pytest.raises(ValueError, match=message):
        MODELS.build(cfg)
    MODELS.build(dict(cfg, input_size=(64, 64)))


@pytest.mark.parametrize(
    ('insert', 'message'),
    [
        ([dict(module='stage9', position='before')], r'insert\[0\].*path of a sub'),
        ([dict(module='stage4', position='in')], r'insert\[0\].*position'),
        ([dict(module='bn1', position='after')], r'insert\[0\].*no batch norm'),
        ([], 'model.backbone.insert: .* no place'),
    ],
)
def test_wrong_place_is_named(insert, message):
    with pytest.raises(ValueError, match=message):
        MODELS.build(dict(type='MIMBBackbone', backbone=hrnet_config(), insert=insert))


def test_two_paths_that_meet_are_both_folded():
    cpm = dict(type='CPM', in_channels=3, out_channels=4, feat_channels=8, num_stages=2)
    places = [dict(module=name, position='after') for name in ('stem', 'middle')]
    cfg = dict(type='MIMBBackbone', backbone=cpm, input_size=(32, 32))
    net = MODELS.build(dict(cfg, insert=places))
    assert [place.folds for place in net.mimbs] == [[True], [True]]
    assert [len(x) for x in net(torch.randn(2, 3, 32, 32))] == [4, 4]
    with pytest.raises(ValueError, match='folded rows meet rows'):
        MODELS.build(dict(cfg, insert=places[:1]))


def test_windows_of_a_crop_are_not_taken_for_crops():
    swin = dict(
        type='SwinTransformer', embed_dims=12, depths=(1, 1, 1, 1), num_heads=(1,) * 4
    )
    place = dict(module='stages.1.blocks.0.attn.w_msa', position='before')
    cfg = dict(type='MIMBBackbone', backbone=swin, insert=[place])
    with pytest.raises(ValueError, match=r'insert\[0\]: there are 40 rows .* 2 crops'):
        MODELS.build(cfg)
