"""Everybody's pose in images whose person boxes are known."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Union

import numpy as np
import torch
from mmengine.config import Config
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from mmpose.structures import PoseDataSample, merge_data_samples
from torch import nn

from ..evaluation.merge_poses import merge_poses, merge_settings, merge_sigmas
from ..models.stock_checkpoint import check_mimbs_loaded
from .images import BoxedImage, load_images

FIELDS = ('keypoints', 'keypoint_scores', 'scores', 'lambdas')
FIELDS += ('bboxes', 'bbox_scores', 'box_indices', 'presence')


def estimate_poses(
    model: nn.Module,
    images: Union[str, Path, np.ndarray, Sequence[Union[str, Path, np.ndarray]]],
    bboxes: Union[Sequence, str, Path, None] = None,
    batch_size: int = 32,
    **merge: Any,
) -> list[dict[str, np.ndarray]]:
    """Everybody's pose in some images.

    Each box gives N poses, one per λ. The poses of all boxes of an image become its
    people by :func:`merge_poses`, as in :class:`MultiInstanceCocoMetric`.

    Args:
        model (nn.Module): From :func:`load_model` or ``mmpose.apis.init_model``.
        images (str | Path | np.ndarray | Sequence): Files or BGR arrays (H, W, 3), or
            one of them. What cannot be read is skipped with a warning and has no
            people.
        bboxes (Sequence | str | Path, optional): For each image an array (n, 4) of
            left, top, right, bottom in pixels of the image, or (n, 5) with a score; or
            a file for :func:`boxes_from_file`. A box that holds no part of the image is
            skipped with a warning. Defaults to the whole image as one box.
        batch_size (int): Crops of an image per forward pass. Defaults to 32.
        **merge: Settings of :func:`merge_poses` instead of those of the config's
            ``test_evaluator``. ``nms_mode='none'`` keeps all N poses of every box.

    Returns:
        list[dict[str, np.ndarray]]: for each image its P people, best first:
        ``keypoints`` (P, K, 2) in pixels of the image, ``keypoint_scores``
        (P, K), ``scores`` (P, ), ``lambdas`` (P, ), and the box each came from:
        ``bboxes`` (P, 4), ``bbox_scores`` (P, ) and ``box_indices`` (P, ), its
        place among the boxes given. Where the head has it ``presence`` (P, ), the
        probability that the box has such a person.

    Raises:
        ValueError: where the boxes are not one array per image, the MIMBs are untrained
            because the checkpoint is of the stock model, or the keypoints are not as
            many as the metainfo has.

    Example::

        people = estimate_poses(load_model(), ['crowd.jpg'], [[[10, 20, 110, 220]]])[0]
    """
    check_mimbs_loaded(model, 'the checkpoint of the model')
    if isinstance(images, (str, Path, np.ndarray)):
        images = [images]
    init_default_scope(model.cfg.get('default_scope') or 'mmpose')
    pipeline = Compose(image_pipeline(model.cfg))
    settings = merge_settings(model.cfg, **merge)
    people = [
        predict_people(model, pipeline, image, settings, batch_size).pred_instances
        for image in load_images(images, pipeline, bboxes)
    ]
    return [{f: poses[f] for f in FIELDS if f in poses} for poses in people]


@torch.no_grad()
def predict_people(
    model: nn.Module,
    pipeline: Compose,
    image: BoxedImage,
    settings: dict[str, Any],
    batch_size: int = 32,
) -> PoseDataSample:
    """The people of one image, by :func:`merge_poses`, as ``pred_instances``.

    Their fields are those of :func:`estimate_poses`. With ``pred_fields``, ``heatmaps``
    (N·K, H, W), where the model gives them.
    """
    shown = model.test_cfg.get('output_keypoint_indices')
    sigmas = merge_sigmas(model.dataset_meta, shown)
    info = dict(model.dataset_meta, img=image.pixels, **image.metainfo)
    crops = [dict(info, bbox=b[None, :4], bbox_score=b[4:]) for b in image.boxes]
    samples: list[PoseDataSample] = []
    for start in range(0, len(crops), batch_size):
        batch = [pipeline(crop) for crop in crops[start : start + batch_size]]
        samples += model.test_step(pseudo_collate(batch))
    if not samples:
        shapes = dict.fromkeys(FIELDS, (0,))
        shapes.update(keypoints=(0, len(sigmas), 2), bboxes=(0, 4))
        shapes['keypoint_scores'] = (0, len(sigmas))
        if getattr(model.head, 'presence', None) is None:
            del shapes['presence']
        nobody = InstanceData(**{f: np.zeros(s, 'f4') for f, s in shapes.items()})
        return PoseDataSample(metainfo=image.metainfo, pred_instances=nobody)
    people = merge_data_samples(samples)
    people.set_metainfo(image.metainfo)
    poses = people.pred_instances
    num = len(poses) // len(samples)  # poses per box
    if 'lambdas' not in poses:  # a stock model
        poses.lambdas = np.zeros(len(poses), dtype=np.float32)
    poses.box_indices = np.repeat(image.box_indices, num)
    kept, poses.scores = merge_poses(
        poses.keypoints[..., :2],
        poses.keypoint_scores,
        poses.bbox_scores,
        poses.lambdas,
        np.repeat(people.gt_instances.bbox_scales.prod(axis=1), num),
        sigmas,
        poses.get('presence'),
        **settings,
    )
    people.pred_instances = InstanceData(**{k: v[kept] for k, v in poses.items()})
    return people


def image_pipeline(cfg: Config) -> list[dict]:
    """The test pipeline, without ``KeypointConverter``: an image has no keypoints."""
    dataset = cfg.test_dataloader.dataset
    while not dataset.get('pipeline') and 'dataset' in dataset:
        dataset = dataset.dataset
    return [step for step in dataset.pipeline if 'KeypointConv' not in str(step.type)]


def shown_skeleton(model: nn.Module) -> Sequence[tuple[int, int]]:
    """The limbs between the keypoints that a model gives, as pairs of their places."""
    limbs = model.dataset_meta.get('skeleton_links') or []
    shown = model.test_cfg.get('output_keypoint_indices')
    if shown is None:
        return limbs
    place = {keypoint: i for i, keypoint in enumerate(shown)}
    return [(place[a], place[b]) for a, b in limbs if a in place and b in place]
