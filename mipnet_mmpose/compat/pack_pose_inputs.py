import mmpose
from mmengine.utils import digit_version


def pack_target_instances() -> bool:
    """Let ``PackPoseInputs`` pack which person each target is of.

    MMPose 1.1 packs by a table of the class, its successors by one that the sample
    brings along.

    Returns:
        bool: Whether that was not so before.
    """
    if digit_version(mmpose.__version__) >= digit_version('1.2.0'):
        return False
    from mmpose.datasets.transforms import PackPoseInputs

    PackPoseInputs.instance_mapping_table['target_instances'] = 'target_instances'
    return True
