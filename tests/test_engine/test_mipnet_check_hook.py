"""A hook that looks at what a MIPNet needs of the rest of the config."""

from types import SimpleNamespace

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.runner import Runner
from mmpose.evaluation.metrics import CocoMetric
from mmpose.registry import HOOKS, MODELS

from ..conftest import estimator_config, head_config


def run(model, optim_wrapper=None, **runner):
    """Warnings of the hook at the start of a training."""
    warnings = []
    start = dict(_resume=False, _has_loaded=False, _load_from=None, work_dir='out')
    start.update(_val_loop=None, _test_loop=None, cfg=Config())
    runner = SimpleNamespace(
        model=model,
        logger=SimpleNamespace(warning=warnings.append),
        optim_wrapper=optim_wrapper,
        **dict(start, **runner),
    )
    hook = HOOKS.build(dict(type='MIPNetCheckHook'))
    hook.before_run(runner)
    if optim_wrapper is not None:
        hook.before_train(runner)
    return warnings


def train(where='backbone', freeze=False, start=(), **custom_keys):
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
    return run(model, build_optim_wrapper(model, cfg), **dict(start))


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


def test_two_that_fold_are_refused():
    cfg = dict(estimator_config('backbone'), neck=estimator_config('neck')['neck'])
    with pytest.raises(ValueError, match='model.backbone and model.neck both fold'):
        run(MODELS.build(cfg))


def test_a_name_that_nothing_reads_is_refused():
    model = MODELS.build(estimator_config())
    run(model, cfg=Config(dict(num_instances=2)))
    with pytest.raises(ValueError, match='num_instances=3, model.backbone has 2'):
        run(model, cfg=Config(dict(num_instances=3)))


class MyCocoMetric(CocoMetric):
    """Of a user who changed nothing of how poses are taken."""


class MyMetric(CocoMetric):
    def process(self, data_batch, data_samples):
        """Of a user who knows of N poses."""


COCO = dict(type='CocoMetric')
PCK = dict(type='PCKAccuracy', thr=0.2)
OURS = dict(type='MultiInstanceCocoMetric')
TWO_DATASETS = dict(
    type='MultiDatasetEvaluator',
    datasets=[dict(type='CocoDataset'), dict(type='OCHumanDataset')],
)
PRIMARY = dict(type='PrimaryInstanceMetric', metric=PCK)


def loop(evaluator):
    """A loop that the runner has built."""
    return SimpleNamespace(evaluator=Runner.build_evaluator(None, evaluator))


@pytest.mark.parametrize(
    ('evaluator', 'named'),
    [
        (COCO, "'CocoMetric' .*type='MultiInstanceCocoMetric'"),
        ([OURS, PCK], "'PCKAccuracy' .*type='PrimaryInstanceMetric'"),
        (dict(type=MyCocoMetric), "'MyCocoMetric' .*PrimaryInstanceMetric"),
        (dict(type='CocoWholeBodyMetric'), "type='MultiInstanceCocoWholeBodyMetric'"),
        (dict(TWO_DATASETS, metrics=[PRIMARY, COCO]), "'CocoMetric'"),
        (dict(type='Evaluator', metrics=PCK), 'PCKAccuracy'),
    ],
)
@pytest.mark.parametrize('key', ['val', 'test'])
def test_a_stock_metric_is_named_with_what_to_put_there(key, evaluator, named):
    loops = {f'_{key}_loop': loop(evaluator)}
    with pytest.raises(ValueError, match=rf'^{key}_evaluator: type=.*?{named}'):
        run(MODELS.build(estimator_config('neck')), **loops)
    run(MODELS.build(estimator_config('neck', num_instances=1)), **loops)
    run(MODELS.build(estimator_config(None)), **loops)


@pytest.mark.parametrize('other', [None, dict(type='ValLoop')])
def test_metrics_of_n_poses_are_none(other):
    dump = dict(type='DumpResults', out_file_path='results.pkl')
    evaluator = [OURS, PRIMARY, dict(type=MyMetric), dump]
    model = MODELS.build(estimator_config('neck'))
    run(model, _test_loop=loop(evaluator), _val_loop=other)


def test_resume_without_a_checkpoint_is_named(tmp_path):
    """MMPose's train.py clears ``load_from`` with --resume."""
    (tmp_path / 'config.py').write_text("load_from = 'stock.pth'\n")
    cfg = Config.fromfile(tmp_path / 'config.py')
    cfg.load_from = None
    start = dict(_resume=True, cfg=cfg, work_dir='w')
    with pytest.raises(ValueError, match='--resume found no checkpoint in w'):
        train(start=start)
    (warning,) = train(start=dict(start, cfg=Config(dict(load_from=None))))
    assert '--resume found no checkpoint in w' in warning
    assert train(start=dict(start, _has_loaded=True)) == []


@pytest.mark.parametrize('stage', ['before_test', 'before_val'])
def test_checkpoint_without_mimbs_is_refused_unless_they_were_trained(stage):
    model = MODELS.build(estimator_config())
    stock = MODELS.build(estimator_config(where=None))
    model.load_state_dict(stock.state_dict(), strict=False)
    runner = SimpleNamespace(model=model, _load_from='stock.pth')
    hook = HOOKS.build(dict(type='MIPNetCheckHook'))
    with pytest.raises(ValueError, match=r'stock.pth has no weights for .* MIMBs'):
        getattr(hook, stage)(runner)
    model.train()
    getattr(hook, stage)(runner)
