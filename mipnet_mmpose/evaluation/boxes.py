"""IoU and non-maximum suppression of boxes: torchvision's, for numpy arrays.

Boxes are left, top, right, bottom in pixels.
"""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch
import torchvision


def box_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """IoU of each of A boxes with each of B.

    Args:
        first (np.ndarray): (A, 4).
        second (np.ndarray): (B, 4).

    Returns:
        np.ndarray: in [0, 1], (A, B). Two boxes without an area have 0.
    """
    kind = np.result_type(first, second, np.float32)
    boxes = (torch.from_numpy(np.array(b, kind)) for b in (first, second))
    return np.nan_to_num(torchvision.ops.box_iou(*boxes).numpy())


def largest_ious(images: Sequence, boxes: np.ndarray) -> np.ndarray:
    """The largest IoU of each box with another one of its image.

    Args:
        images (Sequence): what identifies the image of each of P boxes.
        boxes (np.ndarray): (P, 4).

    Returns:
        np.ndarray: in [0, 1], (P, ); 0 where there is no other.
    """
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
    """Greedy suppression: keep the best, drop whose IoU with it is greater.

    Args:
        boxes (np.ndarray): of one image, (B, 4).
        scores (np.ndarray): (B, ). Of equal scores the larger box comes first.
        threshold (float): IoU in [0, 1]; 1 keeps every box.

    Returns:
        np.ndarray: indices of the boxes kept, best first.
    """
    sizes = (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    order = np.lexsort([-sizes, -scores])
    ranks = torch.arange(len(order), 0, -1, dtype=torch.float64)
    ordered = torch.from_numpy(boxes[order]).to(ranks)
    return order[torchvision.ops.nms(ordered, ranks, float(threshold)).numpy()]


def annotated_boxes(annotations: Sequence[dict]) -> np.ndarray:
    """The boxes of P annotations of COCO's, which have left, top, width, height.

    Returns:
        np.ndarray: float64, (P, 4).
    """
    boxes = np.array([ann['bbox'] for ann in annotations], float).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return boxes
