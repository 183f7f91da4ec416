"""A hook that trains the MIMBs and presence alone."""

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from ..conftest import coco_dataset_config, estimator_config, train_pipeline
from ..test_models.test_estimator import build, pair_folder, predict

__all__ = ['pair_folder']


def train(pair_folder, tmp_path, model, load_from):
    """The model after two epochs at high rates."""
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
    return Runner.from_cfg(Config(cfg)).train()


@pytest.mark.parametrize('where', ['neck', 'backbone'])
def test_stock_layers_stay_and_the_rest_learns(pair_folder, tmp_path, where):
    stock = build(where=None, flip_test=True, output_heatmaps=True)
    torch.save(dict(state_dict=stock.state_dict()), tmp_path / 'stock.pth')
    cfg = estimator_config(where, init='identity', **stock.test_cfg)
    place = cfg['neck'] if where == 'neck' else cfg['backbone']
    place['bypass_primary'] = True
    cfg['head']['presence'] = {}
    model = train(pair_folder, tmp_path, cfg, str(tmp_path / 'stock.pth'))
    state = model.state_dict()
    for key, value in stock.state_dict().items():
        ours = f'head.{key}' if key.startswith('head.') else key
        assert torch.equal(state[ours], value), key
    trained = [name for name, p in model.named_parameters() if p.requires_grad]
    assert any('mimbs' in name for name in trained)
    assert all('mimbs' in name or 'head.presence.' in name for name in trained)
    assert not torch.equal(model.head.presence.fc.bias, torch.zeros(1))
    for ours, theirs in zip(predict(model, pair_folder), predict(stock, pair_folder)):
        first, second = ours.pred_fields.heatmaps.chunk(2)
        assert torch.equal(first, theirs.pred_fields.heatmaps)
        assert not torch.allclose(second, first, rtol=1e-3)


def test_what_cannot_be_frozen_is_named(pair_folder, tmp_path):
    cfg = estimator_config('neck')
    with pytest.raises(ValueError, match='load_from is not set: FreezeStockHook'):
        train(pair_folder, tmp_path, cfg, None)
    state = {k: v for k, v in build(where=None).state_dict().items() if 'head' not in k}
    torch.save(dict(state_dict=state), tmp_path / 'backbone.pth')
    with pytest.raises(ValueError, match='backbone.pth has no weights for .* head'):
        train(pair_folder, tmp_path / 'part', cfg, str(tmp_path / 'backbone.pth'))
    with pytest.raises(ValueError, match='no MIMB to train'):
        train(pair_folder, tmp_path / 'stock', estimator_config(None), 'w.pth')
