import pytest
import torch
from mmpose.registry import MODELS

from mipnet_mmpose import MIMB, MIMBNeck


def test_rows_are_each_sample_under_each_lambda():
    neck = MIMBNeck([8, None, 4], num_instances=3).eval()
    feats = [torch.randn(2, c, 4, 4) for c in (8, 6, 4)]
    outs = neck(feats)
    for level, (x, out) in enumerate(zip(feats, outs)):
        mimb = neck.mimbs[level]
        for b in range(2):
            for i in range(3):
                alone = x[b : b + 1]
                if isinstance(mimb, MIMB):
                    alone = mimb(alone, torch.eye(3)[i : i + 1])
                torch.testing.assert_close(out[b * 3 + i], alone[0])


@pytest.mark.parametrize('in_channels', [16, [8, 8], [None, 8]])
def test_features_that_do_not_fit_name_the_key(in_channels):
    with pytest.raises(ValueError, match=r'model.neck.in_channels is .*\[8\]'):
        MIMBNeck(in_channels)([torch.randn(1, 8, 4, 4)])
    with pytest.raises(ValueError, match=r'in_channels is \[8\].*\[8, 4\]'):
        MIMBNeck([8])([[torch.randn(1, 8, 4, 4), torch.randn(1, 4, 4, 4)]])


def test_a_stock_neck_runs_first_and_takes_its_stock_weights():
    stock = dict(type='FeatureMapProcessor', concat=True)
    neck = MIMBNeck(12, neck=stock, init='identity')
    feats = (torch.randn(2, 8, 8, 8), torch.randn(2, 4, 4, 4))
    out = neck(feats)[0]
    expected = MODELS.build(stock)(feats)[0]
    assert torch.equal(out, expected.repeat_interleave(2, dim=0))


def test_pooled_features_are_modulated():
    neck = MIMBNeck(8, neck=dict(type='GlobalAveragePooling'), init='identity')
    x = torch.randn(2, 8, 4, 4)
    torch.testing.assert_close(neck((x,))[0][::2], x.mean(dim=(2, 3)))


def test_lists_of_levels_per_stage_stay_lists():
    neck = MIMBNeck([8, 4, None, 4]).eval()
    feats = [[torch.randn(2, c, 4, 4) for c in (8, 4)] for _ in range(2)]
    stages = neck(feats)
    flat = MIMBNeck([8, 4, None, 4]).eval()
    flat.load_state_dict(neck.state_dict())
    expected = flat([level for stage in feats for level in stage])
    assert [len(stage) for stage in stages] == [2, 2]
    for out, level in zip([x for stage in stages for x in stage], expected):
        assert torch.equal(out, level)


@pytest.mark.parametrize('read', [0, 1, 2])
def test_levels_that_nobody_reads_get_gradients_of_zero(read):
    """Or training in several processes stops at unused parameters."""
    neck = MIMBNeck([8, None, 4, 6])
    feats = [torch.randn(2, c, 4, 4) for c in (8, 6, 4, 6)]
    levels = [0, 2, 3]
    neck(feats)[levels[read]].square().sum().backward()
    for i, level in enumerate(levels):
        gradients = [p.grad for p in neck.mimbs[level].parameters()]
        assert all(g is not None for g in gradients)
        assert any(g.any() for g in gradients) == (i == read)
