"""What keeps stock MMPose working on today's Python packages, and older MMPose with us.

:func:`install` has to run before ``mmpose.models`` is imported.
"""

from .checkpoint_globals import admit_checkpoint_globals
from .keypoint_converter import convert_keypoints_without_3d
from .mmcv_stand_in import install_mmcv_ext
from .model_names import list_package
from .topdown_affine import record_crop
from .whole_checkpoints import write_checkpoints_whole

__all__ = [
    'admit_checkpoint_globals',
    'convert_keypoints_without_3d',
    'install',
    'install_mmcv_ext',
    'list_package',
    'record_crop',
    'write_checkpoints_whole',
]


def install():
    """Install what this environment lacks; does nothing where all is there."""
    install_mmcv_ext()
    admit_checkpoint_globals()
    convert_keypoints_without_3d()
    record_crop()
    write_checkpoints_whole()
    list_package()
