from .inference import estimate_poses
from .pose_model import load_model
from .mipnet_inferencer import MIPNetInferencer

__all__ = ['MIPNetInferencer', 'estimate_poses', 'load_model']
