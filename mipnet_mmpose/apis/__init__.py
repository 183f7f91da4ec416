from .images import load_image, open_images
from .inference import estimate_poses
from .mipnet_inferencer import MIPNetInferencer

__all__ = [
    'MIPNetInferencer',
    'estimate_poses',
    'load_image',
    'open_images',
]
