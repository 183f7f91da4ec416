"""Which checkpoints a model takes, whoever saved them."""

import pytest
import torch
from mmengine.runner import load_checkpoint
from mmpose.registry import MODELS

from mipnet_mmpose.models.stock_checkpoint import (
    check_mimbs_loaded,
    load_whole_checkpoint,
)

from ..conftest import estimator_config


def saved(path, model, prefix=''):
    """As mmengine saves it, or a bare state dict."""
    state = {prefix + key: value for key, value in model.state_dict().items()}
    torch.save(dict(state_dict=state) if path.suffix == '.pth' else state, path)
    return str(path)


@pytest.mark.parametrize(
    ('where', 'prefix', 'name'),
    [
        ('backbone', 'module.', 'a.pth'),
        ('neck', '', 'a.pt'),
        ('neck', 'module.', 'a.pt'),
    ],
)
def test_checkpoint_of_a_wrapped_model_loads(tmp_path, prefix, name, where):
    cfg = estimator_config(where=where)
    trained, model = MODELS.build(cfg), MODELS.build(cfg)
    for parameter in trained.parameters():
        torch.nn.init.normal_(parameter)
    file = saved(tmp_path / name, trained, prefix)
    load_whole_checkpoint(model, file)
    for key, value in trained.state_dict().items():
        assert torch.equal(model.state_dict()[key], value), key
    other = MODELS.build(cfg)
    load_checkpoint(other, file)  # as MMPose's init_model
    check_mimbs_loaded(other, file)


@pytest.mark.parametrize(('where', 'prefix'), [('backbone', ''), ('neck', 'module.')])
def test_stock_checkpoint_is_refused_for_inference(tmp_path, prefix, where):
    stock = MODELS.build(estimator_config(where=None))
    file = saved(tmp_path / 'stock.pth', stock, prefix)
    model = MODELS.build(estimator_config(where=where))
    check_mimbs_loaded(model)  # never loaded
    load_checkpoint(model, file)
    with pytest.raises(ValueError, match=r'stock.pth has no .* MIMBs .*load_from'):
        check_mimbs_loaded(model, file)
    with pytest.raises(ValueError, match='stock.pth has no weights for'):
        load_whole_checkpoint(model, file)
