"""A hook that mixes a trained network's answers into the targets of λ = 0."""

import contextlib
import copy
from types import SimpleNamespace

import pytest
import torch
from mmpose.registry import HOOKS

from ..test_models.test_estimator import build, pair_folder, train_batch

__all__ = ['pair_folder']


def run(model, checkpoint, batch, weight):
    """The batch as the training gets it."""
    wrapper = SimpleNamespace(optim_context=lambda model: contextlib.nullcontext())
    runner = SimpleNamespace(model=model, optim_wrapper=wrapper)
    cfg = dict(type='HoldPrimaryHook', checkpoint=str(checkpoint), weight=weight)
    hook = HOOKS.build(cfg)
    hook.before_train(runner)
    batch = copy.deepcopy(batch)
    hook.before_train_iter(runner, 0, batch)
    return batch


def answers(model, batch):
    data = model.data_preprocessor(copy.deepcopy(batch))
    with torch.no_grad():
        return model.eval()(data['inputs'], None, mode='tensor')


@pytest.mark.parametrize('where', ['neck', 'backbone'])
@pytest.mark.parametrize('weight', [0, 0.25, 1])
def test_target_of_lambda_0_is_mixed_with_the_stock_answer(
    pair_folder, tmp_path, where, weight
):
    stock = build(where=None)
    torch.save(dict(state_dict=stock.state_dict()), tmp_path / 'stock.pth')
    model = build(seed=1, where=where)  # with gates near 1/4
    before = copy.deepcopy(model.state_dict())
    batch = train_batch(pair_folder, 2)
    found = run(model.train(), tmp_path / 'stock.pth', batch, weight)
    for old, new, answer in zip(
        batch['data_samples'], found['data_samples'], answers(stock, batch)
    ):
        old, new = old.gt_fields.heatmaps, new.gt_fields.heatmaps
        num = len(answer)
        expected = (1 - weight) * old[:num] + weight * answer
        torch.testing.assert_close(new[:num], expected)
        assert torch.equal(new[num:], old[num:])
    assert model.training
    for key, value in model.state_dict().items():
        assert torch.equal(value, before[key])


def test_a_mipnet_answers_with_its_mimbs(pair_folder, tmp_path):
    teacher = build(where='backbone')
    torch.save(teacher.state_dict(), tmp_path / 'mipnet.pth')
    batch = train_batch(pair_folder, 2)
    found = run(build(seed=1, where='backbone'), tmp_path / 'mipnet.pth', batch, 1)
    expected = answers(teacher, batch)[::2]
    for sample, answer in zip(found['data_samples'], expected):
        heatmaps = sample.gt_fields.heatmaps[: len(answer)]
        torch.testing.assert_close(heatmaps, answer)


def test_wrong_settings_are_named(pair_folder, tmp_path):
    with pytest.raises(ValueError, match='HoldPrimaryHook.weight'):
        HOOKS.build(dict(type='HoldPrimaryHook', checkpoint='x.pth', weight=2))
    torch.save(dict(state_dict={}), tmp_path / 'empty.pth')
    batch = train_batch(pair_folder, 2)
    with pytest.raises(ValueError, match='empty.pth has no weights for'):
        run(build(where='neck'), tmp_path / 'empty.pth', batch, 0.5)
    model = build(where='neck')
    torch.save(model.state_dict(), tmp_path / 'model.pth')
    for sample in batch['data_samples']:
        del sample.gt_fields  # as a head of coordinates has it
    with pytest.raises(ValueError, match='one heatmap a keypoint.*HeatmapHead'):
        run(model, tmp_path / 'model.pth', batch, 0.5)
