from mmpose.evaluation.metrics import CocoMetric
from mmpose.registry import METRICS

from .merged_poses import MergedPoses


@METRICS.register_module()
class MultiInstanceCocoMetric(MergedPoses, CocoMetric):
    """``CocoMetric`` for N poses per box.

    The stock metric would drop those that share a box. Here all of them compete, as in
    the authors' code. Arguments are those of ``CocoMetric`` and
    :class:`~mipnet_mmpose.evaluation.merged_poses.MergedPoses`.

    Example::

        val_evaluator = dict(
            type='MultiInstanceCocoMetric', ann_file='val.json', per_lambda=True
        )
    """
