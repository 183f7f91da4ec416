"""Let MMPose's APIs find the keypoints of wrapped datasets.

A checkpoint without ``dataset_meta`` is no obstacle for them: they read it from
``train_dataloader.dataset`` of the config, but look into no wrapper.
"""

import functools
from typing import Optional

import mmpose.apis.inference
import mmpose.apis.inferencers.base_mmpose_inferencer
from mmengine.config import Config, ConfigDict

from ..datasets.unwrap import dataset_with_metainfo

_stock = mmpose.apis.inference.dataset_meta_from_config


@functools.wraps(_stock)
def dataset_meta_from_config(
    config: Config, dataset_mode: str = 'train'
) -> Optional[dict]:
    """As MMPose's, of the dataset that is wrapped."""
    loader = config.get(f'{dataset_mode}_dataloader')
    if loader and loader.get('dataset'):
        dataset = dataset_with_metainfo(loader.dataset)
        config = ConfigDict({f'{dataset_mode}_dataloader': dict(dataset=dataset)})
    return _stock(config, dataset_mode)


for module in (
    mmpose.apis.inference,
    mmpose.apis.inferencers.base_mmpose_inferencer,
):
    module.dataset_meta_from_config = dataset_meta_from_config
