import mmpose
from mmengine.utils import digit_version

from .patches import replace_once


def convert_keypoints_without_3d() -> bool:
    """Let ``KeypointConverter`` take samples of ``CocoWholeBodyDataset``.

    In MMPose 1.3 these say ``keypoints_3d=None``, and the converter then looks for
    the shape of ``None``: no config that converts COCO-WholeBody trains.

    Returns:
        bool: Whether that was not so before.
    """
    if digit_version(mmpose.__version__) < digit_version('1.3.0'):
        return False
    from mmpose.datasets.transforms import KeypointConverter

    def make(stock):
        def transform(self, results: dict) -> dict:
            if results.get('keypoints_3d', True) is None:
                del results['keypoints_3d']
            return stock(self, results)

        return transform

    return replace_once(KeypointConverter, 'transform', make)
