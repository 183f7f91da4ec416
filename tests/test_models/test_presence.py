"""Whether there is a person for λ ≥ 1."""

import numpy as np
import pytest
import torch
from mmpose.registry import MODELS

from mipnet_mmpose import use_lambdas

from ..conftest import estimator_config
from .test_estimator import pair_folder, predict

__all__ = ['pair_folder']


def build(num_instances=2, presence=None):
    """The same model with and without presence."""
    cfg = estimator_config('backbone', num_instances)
    cfg['head']['presence'] = presence
    torch.manual_seed(0)
    return MODELS.build(cfg)


def test_presence_of_each_pose(pair_folder):
    """The poses are those without it; another order of the λ changes nothing."""
    model, without = build(3, dict()), build(3)
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


def test_evidence_counts_as_it_is_weighted(pair_folder):
    """Mean score of the pose, OKS with that of λ = 0, 1; no weight is trained."""
    model = build(presence=dict(score=20.0, oks=-3.0, bias=0.25))
    assert model.state_dict().keys() == build().state_dict().keys()
    sigma = 0.067
    for sample in predict(model, pair_folder):
        poses = sample.pred_instances
        scale = sample.metainfo['input_scale'] / sample.metainfo['input_size']
        offset = (poses.keypoints[1] - poses.keypoints[0]) / scale
        area = np.prod(sample.metainfo['input_size']) / 1.25**2
        oks = np.exp(-(offset**2).sum(axis=1) / (8 * sigma**2 * area)).mean()
        logit = 20 * poses.keypoint_scores[1].mean() - 3 * oks + 0.25
        assert poses.presence[0] == 1
        assert poses.presence[1] == pytest.approx(1 / (1 + np.exp(-logit)), abs=1e-5)
