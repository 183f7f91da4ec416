import pytest
import torch
from mmpose.registry import MODELS

from mipnet_mmpose import MultiInstanceLoss

MSE = dict(type='KeypointMSELoss', use_target_weight=True)


def of(num_instances, cfg=MSE, **kwargs):
    """The loss as the head of a model of N instances calls it."""
    loss = MultiInstanceLoss(cfg, **kwargs)
    loss.num_instances = num_instances
    return loss


def batch(rows, seed=0):
    generator = torch.Generator().manual_seed(seed)
    output = torch.rand(rows, 17, 8, 6, generator=generator)
    target = torch.rand(rows, 17, 8, 6, generator=generator)
    weights = (torch.rand(rows, 17, generator=generator) > 0.3).float()
    return output, target, weights


@pytest.mark.parametrize('num_instances', [1, 2, 3])
def test_loss_is_the_mean_over_rows_of_the_papers_formula(num_instances):
    output, target, weights = batch(4 * num_instances)
    rows = [
        (weights[r, :, None, None] * (output[r] - target[r]) ** 2).mean()
        for r in range(len(output))
    ]
    loss = of(num_instances, MSE)(output, target, weights)
    torch.testing.assert_close(loss, torch.stack(rows).mean())
    if num_instances == 1:
        assert torch.equal(loss, MODELS.build(MSE)(output, target, weights))


def test_a_loss_that_sums_over_the_batch_keeps_its_scale():
    cfg = dict(type='KLDiscretLoss', use_target_weight=True)
    pred = (torch.randn(4, 17, 20), torch.randn(4, 17, 30))
    target = tuple(x.softmax(-1) for x in pred[::-1])[::-1]
    weights = torch.ones(4, 17)
    stock = MODELS.build(cfg)(pred, target, weights)
    twice = [tuple(x.repeat_interleave(2, 0) for x in xs) for xs in (pred, target)]
    rows = of(2, cfg)(*twice, weights.repeat_interleave(2, 0))
    torch.testing.assert_close(rows, stock)


def test_several_losses_in_one_are_returned_one_by_one():
    parts = [MSE, dict(type='SmoothL1Loss')]
    output, target, _ = batch(6)
    arguments = [output, output], [target, target], torch.ones(6, 17)
    loss = of(3, dict(type='MultipleLossWrapper', losses=parts))
    stock = MODELS.build(dict(type='MultipleLossWrapper', losses=parts))
    torch.testing.assert_close(loss(*arguments), stock(*arguments))


def test_instance_weights_scale_each_index():
    output, target, weights = batch(6)
    parts = [
        MODELS.build(MSE)(output[i::2], target[i::2], weights[i::2]) for i in range(2)
    ]
    loss = of(2, MSE, instance_weights=[1.0, 0.5])
    expected = (parts[0] + 0.5 * parts[1]) / 2
    torch.testing.assert_close(loss(output, target, weights), expected)


@pytest.mark.parametrize('weights', [[1.0], [1.0, -1.0], [1, 1, 1]])
def test_wrong_instance_weights_are_named(weights):
    with pytest.raises(ValueError, match='instance_weights must be 2'):
        of(2, MSE, instance_weights=weights)(*batch(4))
