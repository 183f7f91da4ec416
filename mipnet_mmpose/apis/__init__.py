from .inference import estimate_poses
from .mipnet_inferencer import MIPNetInferencer, load_model

__all__ = ['MIPNetInferencer', 'estimate_poses', 'load_model']
