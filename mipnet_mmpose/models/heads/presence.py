from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn
from torch.nn import functional as F

from ..mimb import global_average


class Presence(BaseModule):
    """Whether there is a person for a λ ≥ 1: one linear layer on pooled features.

    Its gradient ends at the features, so the poses learn what they learn without it.
    The features are normalized over the batch, so that one layer is enough.

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

    def forward(self, feats: Any) -> Tensor:
        """Logits (M,) of M rows of features, the last level of which counts."""
        while not isinstance(feats, Tensor):
            feats = feats[-1]
        return self.fc(self.norm(global_average(feats.detach())))[:, 0]

    def loss(self, feats: Any, present: Tensor) -> Tensor:
        """Logistic loss of λ ≥ 1.

        Args:
            feats (tuple[Tensor]): Feature levels with B·N rows.
            present (Tensor): Whether sample b has a person i, bool, (B, N).
        """
        logits = self(feats).float().reshape(present.shape)[:, 1:]
        target = present[:, 1:].to(logits)
        loss = F.binary_cross_entropy_with_logits(logits, target)
        return loss * self.loss_weight

    def predict(self, feats: Any, lambdas: Tensor) -> Tensor:
        """Probability (B, L) of a person for each λ; it is 1 for λ = 0.

        Args:
            feats (tuple[Tensor]): Feature levels with B·L rows.
            lambdas (Tensor): (L,).
        """
        presence = self(feats).float().sigmoid().reshape(-1, lambdas.shape[0])
        return torch.where(lambdas > 0, presence, torch.ones_like(presence))
