"""Pose models with their weights, and those that lie in the package."""

from collections.abc import Sequence
from pathlib import Path
from typing import Optional, Union

from mmengine.config import Config
from mmengine.device import get_device
from mmpose.apis import init_model
from torch import nn

from ..mmpose_files import MMPOSE, find_config
from ..models.stock_checkpoint import check_mimbs_loaded

WEIGHTS = Path(__file__).resolve().parents[1] / 'weights'
POSE = (
    'mipnet_mmpose::coco/td-hm_mipnet-tinypose_coco-256x192.py',
    str(WEIGHTS / 'mipnet_tinypose_256x192.pth'),
)
DETECTOR = 'demo/mmdetection_cfg/rtmdet_nano_320-8xb32_coco-person.py'


def load_model(
    config: Union[str, Path, None] = None,
    checkpoint: Union[str, Path, None] = None,
    device: Optional[str] = None,
) -> nn.Module:
    """A pose model in eval mode, for :func:`estimate_poses`.

    Args:
        config (str | Path, optional): Path of its config, or name in MMPose or here.
            Defaults to the MIPNet-TinyPose of this package.
        checkpoint (str | Path, optional): Its weights. Those of MIPNet-TinyPose lie in
            the package.
        device (str, optional): Defaults to a GPU where there is one.

    Raises:
        ValueError: where there is no such config, or the checkpoint is of the stock
            model and has no MIMBs.
    """
    if config is None:
        config, checkpoint = POSE[0], checkpoint or POSE[1]
    cfg = Config.fromfile(find_config(str(config)))
    path = None if checkpoint is None else str(checkpoint)
    model = init_model(cfg, path, device=device or get_device())
    check_mimbs_loaded(model, checkpoint)
    return model


def person_detector() -> tuple[str, str]:
    """Config and weights of RTMDet-nano; MMPose installs the config with its demos."""
    folders = (MMPOSE / '.mim', MMPOSE.parent)
    config = next(f / DETECTOR for f in folders if (f / DETECTOR).is_file())
    return str(config), str(WEIGHTS / 'rtmdet_nano_person.pth')


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
