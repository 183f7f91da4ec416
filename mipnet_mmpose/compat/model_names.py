"""Our models by name: ``MMPoseInferencer(pose2d=NAME, scope='mipnet_mmpose')``."""

from mmengine.config.utils import MODULE2PACKAGE


def list_package():
    """Add this package to those whose ``model-index.yml`` MMEngine reads.

    MMEngine has a fixed list of OpenMMLab's packages and refuses any other scope.
    """
    MODULE2PACKAGE['mipnet_mmpose'] = 'mipnet_mmpose'
