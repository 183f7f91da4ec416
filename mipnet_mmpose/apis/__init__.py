from .dataset_meta import dataset_meta_from_config
from .images import load_image, open_images
from .inference import estimate_poses
from .mipnet_inferencer import MIPNetInferencer

__all__ = [
    'MIPNetInferencer',
    'dataset_meta_from_config',
    'estimate_poses',
    'load_image',
    'open_images',
]
