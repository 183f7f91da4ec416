"""A hook that looks at the head and the learning rate of the MIMBs."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.optim import build_optim_wrapper
from mmpose.registry import HOOKS, MODELS

from ..conftest import estimator_config, head_config


def run(model, optim_wrapper=None):
    """Warnings of the hook at the start of a training."""
    warnings = []
    logger = SimpleNamespace(warning=warnings.append)
    runner = SimpleNamespace(model=model, logger=logger, optim_wrapper=optim_wrapper)
    hook = HOOKS.build(dict(type='MIPNetCheckHook'))
    hook.before_run(runner)
    if optim_wrapper is not None:
        hook.before_train(runner)
    return warnings


def train(where='backbone', freeze=False, **custom_keys):
    model = MODELS.build(estimator_config(where=where))
    if freeze:
        model.requires_grad_(False)
        model.head.requires_grad_(True)
    keys = {key.replace('_', '.'): value for key, value in custom_keys.items()}
    cfg = dict(
        type='OptimWrapper',
        optimizer=dict(type='Adam', lr=1e-3),
        paramwise_cfg=dict(custom_keys=keys),
    )
    return run(model, build_optim_wrapper(model, cfg))


@pytest.mark.parametrize('lr_mult', [0, 0.1])
def test_backbone_that_learns_slowly_takes_its_mimbs_along(lr_mult):
    (warning,) = train(backbone=dict(lr_mult=lr_mult))
    assert f'a learning rate of {lr_mult * 1e-3:g} (the largest is 0.001)' in warning
    assert 'backbone.mimbs.0.mimbs.0' in warning
    assert "'backbone.mimbs': dict(lr_mult=1)" in warning


def test_mimbs_with_their_own_learning_rate_are_no_warning():
    keys = dict(backbone=dict(lr_mult=0), backbone_mimbs=dict(lr_mult=1))
    assert train(**keys) == []
    assert train(where='neck', backbone=dict(lr_mult=0)) == []
    assert train() == []


def test_frozen_or_forgotten_mimbs_are_a_warning():
    (warning,) = train(freeze=True)
    assert 'requires_grad=False' in warning
    model = MODELS.build(estimator_config())
    adam = torch.optim.Adam(model.head.parameters(), lr=1e-3)
    (warning,) = run(model, SimpleNamespace(param_groups=adam.param_groups))
    assert 'are not in the optimizer' in warning


@pytest.mark.parametrize('where', ['neck', 'backbone'])
def test_stock_head_behind_mimbs_is_refused(where):
    model = MODELS.build(dict(estimator_config(where=where), head=head_config()))
    message = rf"model.{where} folds .* model.head \(type='HeatmapHead'\) cannot"
    with pytest.raises(ValueError, match=message):
        run(model)
    run(MODELS.build(estimator_config(where=where)))
    run(MODELS.build(estimator_config(where=None)))


def test_checkpoint_without_mimbs_is_refused_for_a_test_but_not_after_a_training():
    model = MODELS.build(estimator_config())
    stock = MODELS.build(estimator_config(where=None))
    model.load_state_dict(stock.state_dict(), strict=False)
    runner = SimpleNamespace(model=model, _load_from='stock.pth')
    hook = HOOKS.build(dict(type='MIPNetCheckHook'))
    with pytest.raises(ValueError, match=r'stock.pth has no weights for .* MIMBs'):
        hook.before_test(runner)
    hook.after_train(runner)
    hook.before_test(runner)
