"""The models in the package, and what a pose model takes and gives."""

from collections.abc import Sequence
from pathlib import Path

from mmengine.config import Config
from torch import nn

WEIGHTS = Path(__file__).resolve().parents[1] / 'weights'
POSE = (
    'mipnet_mmpose::coco/td-hm_mipnet-tinypose_coco-256x192.py',
    str(WEIGHTS / 'mipnet_tinypose_256x192.pth'),
)
DETECTOR = (  # MMPose installs the config with its demos
    'demo/mmdetection_cfg/rtmdet_nano_320-8xb32_coco-person.py',
    str(WEIGHTS / 'rtmdet_nano_person.pth'),
)


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
