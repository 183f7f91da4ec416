from .merge_poses import MERGE_DEFAULTS, merge_poses, merge_settings, merge_sigmas
from .multi_instance_metrics import (
    MultiInstanceCocoMetric,
    MultiInstanceCocoWholeBodyMetric,
    MultiInstancePoseTrack18Metric,
)
from .oks import oks, oks_nms
from .primary_instance_metric import PrimaryInstanceMetric

__all__ = [
    'MERGE_DEFAULTS',
    'MultiInstanceCocoMetric',
    'MultiInstanceCocoWholeBodyMetric',
    'MultiInstancePoseTrack18Metric',
    'PrimaryInstanceMetric',
    'merge_poses',
    'merge_settings',
    'merge_sigmas',
    'oks',
    'oks_nms',
]
