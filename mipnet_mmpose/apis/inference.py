"""Everybody's pose in images whose person boxes are known."""

from pathlib import Path
from typing import Any, Dict, List, Mapping, Sequence, Union

import numpy as np
from mmengine.dataset import Compose
from mmengine.registry import init_default_scope
from torch import nn

from ..datasets.unwrap import find_pipeline
from .boxes import boxes_per_image
from .merge_boxes import merge_settings
from .predict_images import box_image, predict_images
from .skipped import Skipped

FIELDS = ('keypoints', 'keypoint_scores', 'scores', 'lambdas') + (
    'bboxes',
    'bbox_scores',
    'box_indices',
    'presence',  # where the head has it
)


def estimate_poses(
    model: nn.Module,
    images: Union[str, Path, np.ndarray, Sequence[Union[str, Path, np.ndarray]]],
    bboxes: Union[Sequence, Mapping, None] = None,
    batch_size: int = 32,
    **merge: Any,
) -> List[Dict[str, np.ndarray]]:
    """Everybody's pose in some images.

    Each box gives N poses, one per λ. The poses of all boxes of an image are
    merged into its people as :class:`MultiInstanceCocoMetric` merges them: score
    decay for λ ≥ 1, then OKS-NMS.

    Args:
        model (nn.Module): From ``mmpose.apis.init_model``.
        images (str | Path | np.ndarray | Sequence): Files or uint8 arrays (BGR,
            BGRA or grey), or one of them. What cannot be read is skipped with a
            warning and has no people.
        bboxes (Sequence | Mapping, optional): For each image an array (n, 4) of
            left, top, right, bottom in pixels of the image, or (n, 5) with a score.
            Boxes that are not finite, empty or outside the image are skipped with
            a warning. Defaults to the whole image as one box.
        batch_size (int): Crops per forward pass, across boxes and images.
            Defaults to 32.
        **merge: ``score_decay``, ``nms_thr`` (OKS), ``nms_mode``
            (``'none'`` keeps all N poses of every box), ``score_mode`` or
            ``keypoint_score_thr`` instead of those of the config's
            ``test_evaluator``; ``presence_thr``, the least ``presence`` of a pose,
            where the model gives one (0.95 by default).

    Returns:
        list[dict[str, np.ndarray]]: for each image its P people, best first:
        ``keypoints`` (P, K, 2) in pixels of the image, ``keypoint_scores``
        (P, K), ``scores`` (P, ), ``lambdas`` (P, ), and the box each came from:
        ``bboxes`` (P, 4), ``bbox_scores`` (P, ) and ``box_indices`` (P, ), its
        place among the boxes given. Where the head has it ``presence`` (P, ), the
        probability that the box has such a person.

    Raises:
        ValueError: where the boxes are not one array per image, or a name in
            ``merge`` is unknown.

    Example::

        model = init_model(config, checkpoint, device='cpu')
        people = estimate_poses(model, ['crowd.jpg'], [[[10, 20, 110, 220]]])[0]
    """
    if isinstance(images, (str, Path, np.ndarray)):
        images = [images]
    boxes_of = boxes_per_image(bboxes, len(images))
    init_default_scope(model.cfg.get('default_scope', 'mmpose'))
    pipeline = Compose(find_pipeline(model.cfg))
    settings = merge_settings(model.cfg, **merge)
    skipped = Skipped()
    boxed = (
        box_image(image, i, boxes_of(i), pipeline, skipped)
        for i, image in enumerate(images)
    )
    people = [
        {
            field: sample.pred_instances[field]
            for field in FIELDS
            if field in sample.pred_instances
        }
        for sample in predict_images(model, pipeline, boxed, settings, batch_size)
    ]
    skipped.warn()
    return people
