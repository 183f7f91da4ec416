"""Crops of two overlapping people, with what two models find in the box of one."""

import json
from pathlib import Path
from typing import Dict, List, Sequence, Tuple

import cv2
import numpy as np
from mmpose.apis import inference_topdown, init_model
from torch import nn

from ..visualization import COLORS, draw_poses, picture_grid

ROWS = 6
SIZE = 192, 256  # of a cell, pixels
PLAIN = 240  # grey level
LEAST_IOU = 0.3  # of the two boxes
TITLES = ['truth: 2 people, 1 box', 'baseline', 'MIPNet, lambda 0', 'MIPNet, lambda 1']


def draw_pairs(
    path: Path,
    configs: Dict[str, Path],
    checkpoints: Dict[str, Path],
    folder: Path,
    part: Path,
) -> None:
    """Draw crops with the truth, the baseline's pose, and MIPNet's for each λ.

    They are of front persons, spread evenly by overlap.

    Args:
        path (Path): of the picture.
        configs (dict[str, Path]): of ``'baseline'`` and ``'MIPNet'``.
        checkpoints (dict[str, Path]): of the same.
        folder (Path): of a SynthCrowd with two people an image.
        part (Path): with ``annotations.json`` and ``one_box_per_pair.json`` of the
            images to choose from.
    """
    val = json.loads((part / 'annotations.json').read_text())
    boxes = json.loads((part / 'one_box_per_pair.json').read_text())
    front = {(box['image_id'], *box['bbox']) for box in boxes}
    front = [p for p in val['annotations'] if (p['image_id'], *p['bbox']) in front]
    front = [person for person in front if person['max_iou'] >= LEAST_IOU]
    front.sort(key=lambda person: person['max_iou'])
    models = {
        name: init_model(str(config), str(checkpoints[name]), device='cpu')
        for name, config in configs.items()
    }
    names = {image['id']: image['file_name'] for image in val['images']}
    pairs = []
    for person in spread(front):
        pair = [p for p in val['annotations'] if p['image_id'] == person['image_id']]
        pair.sort(key=lambda p: p is not person)
        pairs.append((folder / 'images' / names[person['image_id']], pair))
    draw_pair_crops(path, pairs, models)


def spread(items: Sequence) -> List:
    """Of a sorted list as many as a picture has rows, evenly."""
    rows = min(ROWS, len(items))
    return [items[int((i + 0.5) * len(items) / rows)] for i in range(rows)]


def draw_pair_crops(
    path: Path,
    pairs: Sequence[Tuple[Path, List[dict]]],
    models: Dict[str, nn.Module],
    plain: bool = False,
) -> None:
    """Draw pairs of people as :func:`draw_pairs` does.

    Args:
        path (Path): of the picture.
        pairs (Sequence): for each the image and the two annotations, first the one
            whose box the models get.
        models (dict[str, nn.Module]): ``'baseline'`` and ``'MIPNet'``.
        plain (bool): Leave the photograph out. Defaults to False.
    """
    strips = [
        _strip(cv2.imread(str(image)), pair, models, plain) for image, pair in pairs
    ]
    cv2.imwrite(str(path), picture_grid(strips, TITLES))


def _strip(image, pair, models, plain):
    """The cells of a crop side by side."""
    x, y, w, h = pair[0]['bbox']
    box = np.array([[x, y, x + w, y + h]], np.float32)
    poses = {n: inference_topdown(m, image, box)[0] for n, m in models.items()}
    meta = poses['baseline'].metainfo
    extent = np.array(meta['input_scale'])
    corner, zoom = meta['input_center'] - extent / 2, SIZE / extent
    matrix = np.c_[np.diag(zoom), -zoom * corner]
    crop = cv2.warpAffine(image, matrix, SIZE, flags=cv2.INTER_CUBIC)
    if plain:
        crop = np.full_like(crop, PLAIN)

    truth = np.array([p['keypoints'] for p in pair]).reshape(len(pair), -1, 3)
    seen = np.array([0, 0.2, 1])[truth[..., 2].astype(int)]  # hidden: hollow
    cells = [(truth[..., :2], seen, COLORS[:2])]
    for name, i, color in (('baseline', 0, 4), ('MIPNet', 0, 0), ('MIPNet', 1, 1)):
        found = poses[name].pred_instances
        scores = found.keypoint_scores[[i]]
        cells.append((found.keypoints[[i]], scores, [COLORS[color]]))
    skeleton = models['baseline'].dataset_meta['skeleton_links']
    return np.hstack(
        [
            draw_poses(crop, (xy - corner) * zoom, scores, skeleton, colors)
            for xy, scores, colors in cells
        ]
    )
