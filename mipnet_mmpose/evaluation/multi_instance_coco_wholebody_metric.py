from mmpose.evaluation.metrics import CocoWholeBodyMetric
from mmpose.registry import METRICS

from .merged_poses import MergedPoses


@METRICS.register_module()
class MultiInstanceCocoWholeBodyMetric(MergedPoses, CocoWholeBodyMetric):
    """``CocoWholeBodyMetric`` for N poses per box, see ``MultiInstanceCocoMetric``."""
