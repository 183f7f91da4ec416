"""Every change to other packages; docs/reliability.md lists them.

They keep stock MMPose working on today's Python packages, and older MMPose with us.
Each is made once, and only where it is needed. ``MIPNET_COMPAT=0`` switches all off,
``MIPNET_COMPAT=-NAME`` one of them.
"""

from .checkpoint_globals import admit_checkpoint_globals
from .dataset_meta import look_into_wrappers
from .keypoint_converter import convert_keypoints_without_3d
from .mmcv_stand_in import install_mmcv_ext
from .model_names import list_package
from .pack_pose_inputs import pack_target_instances
from .patches import wanted_patches
from .topdown_affine import record_crop
from .whole_checkpoints import write_checkpoints_whole

__all__ = ['PATCHES', 'install']

# the first makes MMPose importable, which others import
PATCHES = {
    'mmcv_ext': install_mmcv_ext,
    'checkpoint_globals': admit_checkpoint_globals,
    'whole_checkpoints': write_checkpoints_whole,
    'model_names': list_package,
    'keypoint_converter': convert_keypoints_without_3d,
    'dataset_meta': look_into_wrappers,
    'topdown_affine': record_crop,
    'pack_pose_inputs': pack_target_instances,
}


def install():
    """Make the changes that this environment needs, before MMPose is imported."""
    wanted = wanted_patches(PATCHES)
    for name, patch in PATCHES.items():
        if name in wanted:
            patch()
