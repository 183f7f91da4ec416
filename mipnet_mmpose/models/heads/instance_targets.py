"""The targets of the N instances of a crop: which row counts against whom."""

import copy
from collections.abc import Sequence
from typing import Any, Optional

import numpy as np
import torch
from mmengine.structures import InstanceData, PixelData
from mmpose.structures import PoseDataSample
from torch import Tensor

from ..mimb import unfold


def unfold_targets(sample: PoseDataSample, num: int) -> list[PoseDataSample]:
    """A sample of N targets as N samples of one; a ValueError where it has not N."""
    instances = sample.gt_instances.get('target_instances')
    if instances is None:
        raise ValueError(
            'train_dataloader.dataset gives the target of one person per box: use '
            "dict(type='MultiInstanceDataset', dataset=<the present dataset>)"
        )
    if instances.shape[1] != num:
        raise ValueError(
            f'train_dataloader.dataset.num_instances={instances.shape[1]} differs from '
            f'num_instances={num} of model.neck or model.backbone (both, multiplied)'
        )
    labels = _chunk(sample.gt_instance_labels, num)
    fields = _chunk(sample.gt_fields, num) if 'gt_fields' in sample else [None] * num
    return [_with_targets(sample, *each) for each in zip(labels, fields)]


def assign_unanswered(
    primary: Any, persons: Sequence[list[PoseDataSample]], present: np.ndarray
) -> list[list[PoseDataSample]]:
    """Row i ≥ 1 counts against the i-th person whom λ = 0 does not answer.

    λ = 0 answers the person whose target heatmaps overlap most with its own, over the
    keypoints that are labelled of this person and of person 0. Where there is no i-th
    person left, the row's weights are 0.

    Args:
        primary (Tensor): Heatmaps of λ = 0, (B, K, h, w).
        persons (Sequence[list[PoseDataSample]]): N rows of each of B crops.
        present (np.ndarray): Whether crop b has a person i, bool, (B, N).
    """
    if 'gt_fields' not in persons[0][0] or not isinstance(primary, Tensor):
        raise ValueError(
            "model.head.instance_rule='unanswered' compares heatmaps, which the head "
            'or its codec does not give'
        )
    every = [row for rows in persons for row in rows]
    targets = torch.stack([row.gt_fields.heatmaps for row in every])
    weights = torch.cat([row.gt_instance_labels.keypoint_weights for row in every])
    labelled = unfold(weights > 0, present.shape[1])  # B, N, K
    overlap = unfold(targets, present.shape[1]) * primary.clamp(min=0)[:, None]
    overlap = overlap.sum(dim=(3, 4))
    gain = (overlap - overlap[:, :1]) * (labelled & labelled[:, :1])
    there = torch.from_numpy(present).to(gain.device)
    answered = gain.sum(dim=2).masked_fill(~there, -torch.inf).argmax(dim=1)
    chosen = []
    for rows, exists, first in zip(persons, present, answered.tolist()):
        others = [row for i, row in enumerate(rows) if exists[i] and i != first]
        labels = rows[0].gt_instance_labels.clone()
        labels.keypoint_weights = torch.zeros_like(labels.keypoint_weights)
        nobody = [_with_targets(rows[0], labels, rows[0].gt_fields)]
        nobody *= len(rows) - 1 - len(others)
        chosen.append([rows[0], *others, *nobody])
    return chosen


def _with_targets(
    sample: PoseDataSample, labels: InstanceData, fields: Optional[PixelData]
) -> PoseDataSample:
    row = copy.copy(sample)  # shares everything but the targets
    row.gt_instance_labels = labels
    if fields is not None:
        row.gt_fields = fields
    return row


def _chunk(data: Any, num: int) -> list[Any]:
    """Split the targets of N persons, which lie one after the other."""
    chunks = [type(data)() for _ in range(num)]
    for key, value in data.items():
        if isinstance(value, list):  # MultilevelPixelData, one tensor a level
            parts = list(zip(*(level.chunk(num) for level in value)))
        else:
            parts = value.chunk(num)
        for chunk, part in zip(chunks, parts):
            chunk.set_field(part, key)
    return chunks
