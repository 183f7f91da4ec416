"""Whether there is a person for λ ≥ 1: what is learnt, and what is answered."""

import copy

import numpy as np
import pytest
import torch
from mmpose.registry import MODELS
from torch.nn.functional import softplus

from mipnet_mmpose import use_lambdas

from ..conftest import estimator_config
from .test_estimator import pair_folder, predict, train_batch

__all__ = ['pair_folder']


def with_presence(seed=0, num_instances=2, **test_cfg):
    """A model, and the same one without presence."""
    models = []
    for presence in (dict(), None):
        cfg = estimator_config('backbone', num_instances, **test_cfg)
        cfg['head']['presence'] = presence
        torch.manual_seed(seed)
        models.append(MODELS.build(cfg))
    models[0].load_state_dict(models[1].state_dict(), strict=False)
    return models


def losses(model, batch):
    data = model.data_preprocessor(copy.deepcopy(batch), training=True)
    return model.train()(**data, mode='loss')


def test_loss_is_logistic_over_the_boxes(pair_folder):
    """Two boxes have a second person, the third has none; logits are the bias."""
    model, _ = with_presence()
    model.head.presence.fc.weight.data.zero_()
    model.head.presence.fc.bias.data.fill_(0.7)
    loss = losses(model, train_batch(pair_folder, 2))['loss_presence']
    b = torch.tensor(0.7)
    expected = 1e-3 * (2 * softplus(-b) + softplus(b)) / 3
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


def test_the_poses_learn_what_they_learn_without(pair_folder):
    """Boxes with and without a second person; presence has gradients of its own."""
    batch = train_batch(pair_folder, 2)
    models = with_presence()
    found, expected = (losses(model, batch) for model in models)
    assert torch.equal(found['loss_kpt'], expected['loss_kpt'])
    (found['loss_kpt'] + found['loss_presence']).backward()
    expected['loss_kpt'].backward()
    others = dict(models[1].named_parameters())
    for name, parameter in models[0].named_parameters():
        if 'presence' in name:
            assert parameter.grad.abs().max() > 0, name
        else:
            assert torch.equal(parameter.grad, others[name].grad), name


def test_a_batch_of_one_sample_trains(pair_folder):
    """The last batch of an epoch may be that small."""
    model, _ = with_presence()
    batch = {key: values[:1] for key, values in train_batch(pair_folder, 2).items()}
    assert torch.isfinite(losses(model, batch)['loss_presence'])


def test_presence_of_each_pose(pair_folder):
    """The poses are those without it; another order of the λ changes nothing."""
    model, without = with_presence(num_instances=3)
    with use_lambdas(model, [2, 1, 0]):
        swapped = predict(model, pair_folder)
    samples = predict(model, pair_folder), predict(without, pair_folder), swapped
    for found, expected, other in zip(*samples):
        poses, expected = found.pred_instances, expected.pred_instances
        np.testing.assert_array_equal(poses.keypoints, expected.keypoints)
        assert poses.presence.shape == (3,) and poses.presence[0] == 1
        assert ((poses.presence[1:] > 0) & (poses.presence[1:] < 1)).all()
        assert 'presence' not in expected
        again = other.pred_instances.presence[::-1]
        np.testing.assert_allclose(poses.presence, again, rtol=1e-5)


def test_flip_test_takes_the_mean(pair_folder):
    """The flipped picture has another presence; both count."""
    model, _ = with_presence(flip_test=True, flip_mode='heatmap')
    model.eval()
    calls = []
    presence = model.head.presence
    presence.register_forward_hook(lambda m, a, out: calls.append(out))
    for i, sample in enumerate(predict(model, pair_folder)):
        plain, flipped = (call.reshape(-1, 2)[i, 1].item() for call in calls)
        assert plain != flipped
        mean = 1 / (1 + np.exp(-(plain + flipped) / 2))
        assert sample.pred_instances.presence[1] == pytest.approx(mean)


def test_one_instance_has_no_presence(pair_folder):
    model, _ = with_presence(num_instances=1)
    with pytest.raises(ValueError, match='presence.*num_instances is 1'):
        losses(model, train_batch(pair_folder, 1))


def test_channels_are_those_of_the_head():
    """Which MSPNHead calls by another name."""
    mspn = dict(type='MSPNHead', num_stages=1, num_units=1, unit_channels=16)
    head = MODELS.build(
        dict(type='MIPNetHead', head=dict(mspn, level_indices=[0]), presence={})
    )
    assert head.presence.fc.in_features == 16


def test_evidence_of_the_poses_counts_as_it_is_weighted(pair_folder):
    """Logit, the two mean scores, OKS of the two poses, 1."""
    model, _ = with_presence()
    samples = predict(model, pair_folder)
    weights = torch.tensor([0.5, 20.0, -7.0, -3.0, 0.25])
    model.head.presence.evidence.copy_(weights)
    sigma = 0.067
    for plain, told in zip(samples, predict(model, pair_folder)):
        poses, p = plain.pred_instances, plain.pred_instances.presence[1]
        logit = np.log(p / (1 - p))
        first, second = poses.keypoint_scores.mean(axis=1)
        scale = plain.metainfo['input_scale'] / plain.metainfo['input_size']
        offset = (poses.keypoints[1] - poses.keypoints[0]) / scale
        square = (offset**2).sum(axis=1)
        area = np.prod(plain.metainfo['input_size']) / 1.25**2
        oks = np.exp(-square / (8 * sigma**2 * area)).mean()
        expected = weights.numpy() @ [logit, second, first, oks, 1]
        found = told.pred_instances.presence
        assert found[0] == 1
        assert found[1] == pytest.approx(1 / (1 + np.exp(-expected)), abs=1e-3)
