"""The same on a GPU; skipped where there is none."""

import copy

import pytest
import torch
from mmengine.optim import AmpOptimWrapper
from mmpose.registry import MODELS

from mipnet_mmpose import use_lambdas

from .conftest import estimator_config
from .test_models.test_estimator import pair_folder, test_batch, train_batch

__all__ = ['pair_folder']
pytestmark = pytest.mark.skipif(
    not torch.cuda.is_available(), reason='this machine has no CUDA device'
)


@pytest.fixture(params=['backbone', 'neck'])
def models(request):
    """The same MIPNet with presence on the CPU and on the GPU."""
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    cfg = estimator_config(request.param)
    cfg['head']['presence'] = {}
    torch.manual_seed(0)
    model = MODELS.build(cfg).eval()
    return model, copy.deepcopy(model).cuda()


def test_poses_equal_those_of_the_cpu(models, pair_folder):
    for lambdas in ([0, 1], [0.25, 1, 0]):
        answers = []
        for model in models:
            with torch.no_grad(), use_lambdas(model, lambdas):
                answers.append(model.test_step(test_batch(pair_folder)))
        for ours, theirs in zip(*answers):
            for key in ('keypoint_scores', 'presence', 'lambdas'):
                found, expected = (s.pred_instances[key] for s in (ours, theirs))
                assert found == pytest.approx(expected, abs=1e-4)


def test_gradients_equal_those_of_the_cpu(models, pair_folder):
    for model in models:
        data = model.data_preprocessor(train_batch(pair_folder, 2), True)
        loss, _ = model.parse_losses(model(**data, mode='loss'))
        loss.backward()
    for ours, theirs in zip(*(model.parameters() for model in models)):
        torch.testing.assert_close(ours.grad, theirs.grad.cpu(), rtol=1e-2, atol=1e-5)


def test_amp_trains(models, pair_folder):
    model = models[1].train()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    optim = AmpOptimWrapper(optimizer=optimizer)
    losses = [
        model.train_step(train_batch(pair_folder, 2), optim)['loss_kpt'].item()
        for _ in range(20)
    ]
    assert losses[-1] < losses[0]
