"""A training sample as the network sees it, with the target of each λ."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from mmpose.structures import MultilevelPixelData

from ..datasets.multi_instance_dataset import chain_datasets
from ..datasets.transforms import GenerateMultiInstanceTarget
from .draw_poses import COLORS, add_titles, draw_poses, write_title

CELL_HEIGHT = 208  # pixels
PICTURE_WIDTH = 1920  # at most
GAP = 16  # between columns
WHITE = dict(borderType=cv2.BORDER_CONSTANT, value=(255, 255, 255))


def draw_samples(dataset: Any, siblings: np.ndarray, num_samples: int) -> np.ndarray:
    """A picture (H, W, 3) of training samples of ``MultiInstanceDataset``.

    ``siblings`` (P, ) are how many each crop holds. Samples that have some come first,
    else it is by chance.
    """
    parts = [part for chain in chain_datasets(dataset) for part in chain]
    steps = [s for p in parts if hasattr(p, 'pipeline') for s in p.pipeline.transforms]
    generator = next(s for s in steps if isinstance(s, GenerateMultiInstanceTarget))
    num_instances, codec = generator.num_instances, generator.encoder
    codec = codec[-1] if isinstance(codec, list) else codec
    order = np.random.permutation(len(dataset))
    if len(siblings) == len(dataset):  # no sampling in between
        known = np.minimum(siblings[order], max(num_instances - 1, 1))
        order = order[np.argsort(-known, kind='stable')]
    skeleton = dataset.metainfo['skeleton_links']
    strips = [
        draw_targets(dataset[i], codec, skeleton) for i in order[:num_samples].tolist()
    ]
    titles = ['crop', *(f'lambda {i}' for i in range(num_instances))]
    columns = max(PICTURE_WIDTH // strips[0].shape[1], 1)
    rows = -(-len(strips) // columns)
    strips += [np.full_like(strips[0], 255)] * (rows * columns - len(strips))
    parts = [np.vstack(strips[i : i + rows]) for i in range(0, len(strips), rows)]
    parts = [add_titles(part, titles) for part in parts]
    return np.hstack([cv2.copyMakeBorder(p, 0, 0, 0, GAP, **WHITE) for p in parts])


def draw_targets(sample: dict, codec: Any, skeleton: Sequence) -> np.ndarray:
    """The crop, then the target of each λ over it in the colour of its person.

    N + 1 cells side by side, (CELL_HEIGHT + 4, W, 3), of a sample that the codec made.
    """
    inputs = sample['inputs']
    inputs = inputs[0] if inputs.ndim == 4 else inputs  # a video's frame of the person
    crop = inputs.permute(1, 2, 0).numpy().clip(0, 255).astype(np.uint8)
    scale = CELL_HEIGHT / len(crop)
    size = (round(crop.shape[1] * scale), CELL_HEIGHT)
    crop = cv2.resize(crop, size, interpolation=cv2.INTER_AREA)
    gray = cv2.cvtColor(cv2.cvtColor(crop, cv2.COLOR_BGR2GRAY), cv2.COLOR_GRAY2BGR)
    targets, cells = sample['data_samples'], [crop]
    persons = targets.gt_instances.target_instances[0]
    fields = targets.get('gt_fields', {})
    fields = fields[-1] if isinstance(fields, MultilevelPixelData) else fields
    arrays = {**dict(targets.gt_instance_labels.items()), **dict(fields.items())}
    for i, who in enumerate(persons):
        target = {k: v.chunk(len(persons))[i].numpy() for k, v in arrays.items()}
        keypoints, weights = _decode(codec, target)
        color = COLORS[who % len(COLORS)]
        cell = 0.6 * gray + 16
        if 'heatmaps' in target:
            # a combined heatmap of UDP has two channels of offsets after each
            heat = target['heatmaps'][:: len(target['heatmaps']) // keypoints.shape[1]]
            heat = cv2.resize(heat.max(axis=0), size)[..., None]
            heat = (heat / max(heat.max(), 1e-6)).clip(0, 1)
            cell = cell * (1 - heat) + np.array(color) * heat
        cell = cell.round().astype(np.uint8)
        cell = draw_poses(cell, keypoints * scale, weights, skeleton, [color])
        if who != i:
            write_title(cell, 'person 0 again', color=(240, 240, 240))
        cells.append(cell)
    return np.hstack([cv2.copyMakeBorder(c, 0, 4, 0, 2, **WHITE) for c in cells])


def _decode(codec: Any, target: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints in pixels of the crop (1, K, 2), and the weight of each in the loss.

    The weight (1, K) is 0 for a keypoint that has left the heatmap.
    """
    names = ('keypoint_x_labels', 'keypoint_y_labels')
    if names[0] not in target:
        names = ('keypoint_labels' if 'keypoint_labels' in target else 'heatmaps',)
    keypoints, scores = codec.decode(*(target[name] for name in names))
    scores = scores[0] if isinstance(scores, tuple) else scores
    weights = target['keypoint_weights'].reshape(-1, keypoints.shape[1])[-1:]
    return keypoints, weights * (scores > 0)
