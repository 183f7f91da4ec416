"""Let MMPose's APIs find the keypoints of wrapped datasets.

A checkpoint without ``dataset_meta`` is no obstacle for them: they read it from
``train_dataloader.dataset`` of the config, but look into no wrapper, and take COCO's
keypoints for those of any other dataset.
"""

import importlib
from typing import Optional

from mmengine.config import Config, ConfigDict

from .patches import replace_once

# each imports the function under its own name
MODULES = ('mmpose.apis.inference', 'mmpose.apis.inferencers.base_mmpose_inferencer')


def look_into_wrappers() -> bool:
    """Let MMPose's ``dataset_meta_from_config`` look into wrapped datasets.

    Returns:
        bool: Whether that was not so before.
    """

    def make(stock):
        def dataset_meta_from_config(
            config: Config, dataset_mode: str = 'train'
        ) -> Optional[dict]:
            from ..datasets.unwrap import dataset_with_metainfo

            loader = config.get(f'{dataset_mode}_dataloader')
            if loader and loader.get('dataset'):
                dataset = dataset_with_metainfo(loader.dataset)
                config = ConfigDict(
                    {f'{dataset_mode}_dataloader': dict(dataset=dataset)}
                )
            return stock(config, dataset_mode)

        return dataset_meta_from_config

    modules = [importlib.import_module(name) for name in MODULES]
    replaced = [replace_once(m, 'dataset_meta_from_config', make) for m in modules]
    return any(replaced)
