from typing import Any

import numpy as np
import torch
from mmengine.model import BaseModule
from mmengine.structures import InstanceData
from scipy.special import expit
from torch import Tensor, nn
from torch.nn import functional as F

from ...evaluation.merge_poses import UNKNOWN_SIGMA
from ...evaluation.oks import oks
from ..mimb import global_average

MARGIN = 1.25  # a crop is as many times as wide and high as its box


class Presence(BaseModule):
    """Whether there is a person for a λ ≥ 1.

    One linear layer learns it, on pooled features that are normalized over the batch.
    Its gradient stops there: the poses train as without it. Weights for what the poses
    themselves tell can be set afterwards, see :meth:`predict`.

    Args:
        channels (int): Channels of the last feature level that the head gets.
        loss_weight (float): Of the logistic loss. It counts for SGD and for the norm
            that gradients are clipped at. Defaults to 0.001, the size of a heatmap
            loss in MMPose.
    """

    def __init__(self, channels: int, loss_weight: float = 1e-3):
        super().__init__()
        self.norm = nn.BatchNorm1d(channels)
        self.fc = nn.Linear(channels, 1)
        self.loss_weight = loss_weight
        # weights of the logit, of what the poses tell, and the bias
        self.register_buffer('evidence', torch.tensor([1.0, 0.0, 0.0, 0.0, 0.0]))

    def forward(self, feats: Any) -> Tensor:
        """Logits (M,) of M rows of features, the last level of which counts."""
        while not isinstance(feats, Tensor):
            feats = feats[-1]
        return self.fc(self.norm(global_average(feats.detach())))[:, 0]

    def loss(self, feats: Any, present: np.ndarray) -> Tensor:
        """Logistic loss of λ ≥ 1.

        Args:
            feats (tuple[Tensor]): Feature levels with B·N rows.
            present (np.ndarray): Whether crop b has a person i, bool, (B, N).

        Raises:
            ValueError: where N is 1.
        """
        if present.shape[1] == 1:
            raise ValueError('model.head.presence is of λ ≥ 1, but num_instances is 1')
        logits = self(feats).float().reshape(present.shape)[:, 1:]
        target = torch.from_numpy(present[:, 1:]).to(logits)
        loss = F.binary_cross_entropy_with_logits(logits, target)
        return loss * self.loss_weight

    def predict(
        self, logits: np.ndarray, poses: InstanceData, input_size: tuple
    ) -> np.ndarray:
        """Probability (L,) that there is such a person; it is 1 for λ = 0.

        The sigmoid of ``evidence`` times the logit of the trained layer, the three of
        :func:`pose_evidence`, and 1. By default the trained layer alone counts.

        Args:
            logits (np.ndarray): (L,).
            poses (InstanceData): L poses of a box, in pixels of the crop.
            input_size (tuple[int, int]): Width and height of the crop.
        """
        area = np.prod(input_size) / MARGIN**2
        keypoints = poses.keypoints[..., :2]
        told = pose_evidence(keypoints, poses.keypoint_scores, poses.lambdas, area)
        told = np.stack([logits, *told, np.ones_like(logits)])
        logits = self.evidence.cpu().numpy() @ told
        return np.where(poses.lambdas > 0, expit(logits), 1).astype(np.float32)


def pose_evidence(
    keypoints: np.ndarray, scores: np.ndarray, lambdas: np.ndarray, area: float
) -> np.ndarray:
    """What the poses of a box tell of a second person, (3, L).

    The mean score of each pose, that of the pose of the smallest λ, and the OKS of the
    two. Keypoints (L, K, 2) are in pixels, the area of the box in square pixels;
    scores (L, K), lambdas (L,).
    """
    first = np.argmin(lambdas)
    means = scores.mean(axis=1)
    sigmas = np.full(keypoints.shape[1], UNKNOWN_SIGMA)
    alike = oks(keypoints, keypoints[first], area, sigmas)
    return np.stack([means, np.full_like(means, means[first]), alike])
