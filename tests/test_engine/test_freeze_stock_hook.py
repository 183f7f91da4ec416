"""A hook that trains the MIMBs alone."""

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from ..conftest import coco_dataset_config, estimator_config, train_pipeline
from ..test_models.test_estimator import build, pair_folder, predict

__all__ = ['pair_folder']


def train(pair_folder, tmp_path, model, load_from, **changes):
    """The runner after two epochs at high rates."""
    dataset = coco_dataset_config(pair_folder, train_pipeline())
    cfg = dict(
        model=model,
        work_dir=str(tmp_path / 'out'),
        default_scope='mmpose',
        load_from=load_from,
        train_dataloader=dict(
            batch_size=2,
            num_workers=0,
            dataset=dict(type='MultiInstanceDataset', dataset=dataset),
            sampler=dict(type='DefaultSampler', shuffle=True),
        ),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=0.1, weight_decay=0.5)),
        train_cfg=dict(by_epoch=True, max_epochs=2),
        custom_hooks=[dict(type='FreezeStockHook')],
        experiment_name=tmp_path.name,
    )
    runner = Runner.from_cfg(Config(dict(cfg, **changes)))
    runner.train()
    return runner


def stock_file(tmp_path):
    stock = build(where=None, flip_test=True, output_heatmaps=True)
    torch.save(dict(state_dict=stock.state_dict()), tmp_path / 'stock.pth')
    return stock, str(tmp_path / 'stock.pth')


def mipnet_config(where, stock):
    cfg = estimator_config(where, init='identity', **stock.test_cfg)
    place = cfg['neck'] if where == 'neck' else cfg['backbone']
    place['bypass_primary'] = True
    return cfg


def assert_stock_layers_are(stock, state):
    for key, value in stock.state_dict().items():
        ours = f'head.{key}' if key.startswith('head.') else key
        assert torch.equal(state[ours], value), key


@pytest.mark.parametrize('where', ['neck', 'backbone'])
def test_stock_layers_stay_and_the_rest_learns(pair_folder, tmp_path, where):
    stock, file = stock_file(tmp_path)
    model = train(pair_folder, tmp_path, mipnet_config(where, stock), file).model
    assert_stock_layers_are(stock, model.state_dict())
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert trained and all('mimbs' in name for name in trained)
    for ours, theirs in zip(predict(model, pair_folder), predict(stock, pair_folder)):
        first, second = ours.pred_fields.heatmaps.chunk(2)
        assert torch.equal(first, theirs.pred_fields.heatmaps)
        assert not torch.allclose(second, first, rtol=1e-3)


@pytest.fixture
def one_process(monkeypatch):
    """What a launcher says, with a group of one process on the CPU."""
    values = dict(RANK=0, LOCAL_RANK=0, WORLD_SIZE=1, MASTER_ADDR='127.0.0.1')
    for name, value in dict(values, MASTER_PORT=29517).items():
        monkeypatch.setenv(name, str(value))
    monkeypatch.setattr(torch.cuda, 'set_device', lambda device: None)
    # torch synchronises norm layers on GPUs alone; of one process they are as others
    ddp, norm = torch.nn.parallel.DistributedDataParallel, torch.nn.BatchNorm2d
    monkeypatch.setattr(ddp, '_passing_sync_batchnorm_handle', lambda *_: None)
    monkeypatch.setattr(torch.nn.SyncBatchNorm, 'forward', norm.forward)
    yield dict(
        launcher='pytorch',
        env_cfg=dict(dist_cfg=dict(backend='gloo')),
        model_wrapper_cfg=dict(type='MMDistributedDataParallel', device_ids=None),
        sync_bn='torch',
    )
    torch.distributed.destroy_process_group()


def test_stock_statistics_stay_where_wrapping_replaces_the_norm_layers(
    pair_folder, tmp_path, one_process
):
    """``sync_bn`` makes new ones each time that a model is wrapped."""
    stock, file = stock_file(tmp_path)
    cfg = mipnet_config('neck', stock)
    model = train(pair_folder, tmp_path, cfg, file, **one_process).model.module
    norms = [m for m in model.modules() if isinstance(m, torch.nn.SyncBatchNorm)]
    assert norms
    assert_stock_layers_are(stock, model.state_dict())


@pytest.mark.parametrize(
    ('first', 'update_buffers'), [('EMAHook', True), ('FreezeStockHook', False)]
)
def test_stock_layers_of_a_moving_average_stay(
    pair_folder, tmp_path, first, update_buffers
):
    """The mean of two equal values is rounded, by 1e-7 a step."""
    stock, file = stock_file(tmp_path)
    average = dict(type='EMAHook', ema_type='ExpMomentumEMA', momentum=0.3)
    hooks = [dict(average, update_buffers=update_buffers), dict(type='FreezeStockHook')]
    hooks.sort(key=lambda hook: hook['type'] != first)
    cfg = mipnet_config('neck', stock)
    train(pair_folder, tmp_path, cfg, file, custom_hooks=hooks)
    saved = torch.load(tmp_path / 'out' / 'epoch_2.pth')
    assert_stock_layers_are(stock, saved['state_dict'])  # the average
    last = {k[7:]: v for k, v in saved['ema_state_dict'].items() if k[:7] == 'module.'}
    assert_stock_layers_are(stock, last)
    key = 'neck.mimbs.0.embed.0.weight'
    assert not torch.equal(saved['state_dict'][key], last[key])


def test_what_cannot_be_frozen_is_named(pair_folder, tmp_path):
    cfg = estimator_config('neck')
    with pytest.raises(ValueError, match='load_from is not set: FreezeStockHook'):
        train(pair_folder, tmp_path, cfg, None)
    with pytest.raises(ValueError, match='--resume found no checkpoint in .*resumed'):
        train(pair_folder, tmp_path / 'resumed', cfg, None, resume=True)
