import os.path as osp
import tempfile
from typing import Dict, List

from mmpose.evaluation.metrics import PoseTrack18Metric
from mmpose.registry import METRICS

from .multi_instance_coco_metric import MultiInstanceCocoMetric


@METRICS.register_module()
class MultiInstancePoseTrack18Metric(MultiInstanceCocoMetric, PoseTrack18Metric):
    """``PoseTrack18Metric`` for N poses per box, see
    :class:`MultiInstanceCocoMetric`.

    Raises:
        ImportError: where ``poseval``, which the stock metric evaluates with, is
            not installed.
    """

    def _evaluate(self, images: Dict[int, List[dict]]) -> Dict[str, float]:
        """poseval reads a folder of result files, one per video."""
        with tempfile.TemporaryDirectory() as folder:
            prefix = osp.join(folder, 'results')
            self.results2json(images, prefix)
            return dict(self._do_python_keypoint_eval(prefix))
