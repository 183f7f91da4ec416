from .merge_poses import MERGE_DEFAULTS, merge_poses, merge_settings, merge_sigmas
from .multi_instance_coco_metric import MultiInstanceCocoMetric
from .multi_instance_coco_wholebody_metric import MultiInstanceCocoWholeBodyMetric
from .multi_instance_posetrack18_metric import MultiInstancePoseTrack18Metric
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
