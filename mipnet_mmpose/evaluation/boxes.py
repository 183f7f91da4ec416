"""IoU and non-maximum suppression of boxes: torchvision's, for numpy arrays.

Boxes are left, top, right, bottom in pixels, (B, 4).
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
import torchvision


def box_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """IoU (A, B) of each of A boxes with each of B; 0 of two without an area."""
    kind = np.result_type(first, second, np.float32)
    boxes = (torch.from_numpy(np.array(b, kind)) for b in (first, second))
    return np.nan_to_num(torchvision.ops.box_iou(*boxes).numpy())


def largest_ious(images: Sequence, boxes: np.ndarray) -> np.ndarray:
    """The largest IoU (B,) of each box with another one of its image, or 0."""
    members = defaultdict(list)
    for i, image in enumerate(images):
        members[image].append(i)
    largest = np.zeros(len(boxes))
    for group in members.values():
        ious = box_iou(boxes[group], boxes[group])
        np.fill_diagonal(ious, 0)
        largest[group] = ious.max(axis=1)
    return largest


def box_nms(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> np.ndarray:
    """Indices of the boxes that greedy suppression keeps, best first.

    A threshold of 1 keeps every box. Of equal scores (B,) the larger box comes first.
    """
    sizes = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    order = np.lexsort([-sizes, -scores])
    ranks = torch.arange(len(order), 0, -1, dtype=torch.float64)
    ordered = torch.from_numpy(boxes[order]).to(ranks)
    return order[torchvision.ops.nms(ordered, ranks, float(threshold)).numpy()]


def annotated_boxes(annotations: Sequence[dict]) -> np.ndarray:
    """The boxes of annotations of COCO's, float64; there they have width, height."""
    boxes = np.array([ann['bbox'] for ann in annotations], float).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes
