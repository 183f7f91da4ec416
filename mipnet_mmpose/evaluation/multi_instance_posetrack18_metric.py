from mmpose.evaluation.metrics import PoseTrack18Metric
from mmpose.registry import METRICS

from .merged_poses import MergedPoses


@METRICS.register_module()
class MultiInstancePoseTrack18Metric(MergedPoses, PoseTrack18Metric):
    """``PoseTrack18Metric`` for N poses per box, see ``MultiInstanceCocoMetric``.

    Raises:
        ImportError: where ``poseval``, which the stock metric evaluates with, is
            not installed.
    """

    max_people = None  # poseval looks at all
