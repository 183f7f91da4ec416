from .multi_instance_coco_metric import MultiInstanceCocoMetric
from .oks_nms import oks, oks_nms, soft_oks_nms

__all__ = ['MultiInstanceCocoMetric', 'oks', 'oks_nms', 'soft_oks_nms']
