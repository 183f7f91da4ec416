import mmpose
from mmengine.utils import digit_version

from .patches import replace_once


def record_crop() -> bool:
    """Let ``TopdownAffine`` say which part of the image it cut out.

    MMPose 1.1 records no ``input_center`` and ``input_scale`` (in pixels of the
    image, shape (2,) each), which are what its successors bring a crop's keypoints
    back to the image with.

    Returns:
        bool: Whether that was not so before.
    """
    if digit_version(mmpose.__version__) >= digit_version('1.2.0'):
        return False
    from mmpose.datasets.transforms import TopdownAffine

    def make(stock):
        def transform(self, results: dict) -> dict:
            results = stock(self, results)
            if results is not None:
                # by now with the aspect ratio of the crop
                results['input_center'] = results['bbox_center'][0]
                results['input_scale'] = results['bbox_scale'][0]
            return results

        return transform

    return replace_once(TopdownAffine, 'transform', make)
