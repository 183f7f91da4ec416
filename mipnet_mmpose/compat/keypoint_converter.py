import functools


def convert_keypoints_without_3d() -> None:
    """Let ``KeypointConverter`` take samples of ``CocoWholeBodyDataset``.

    In MMPose 1.3 these say ``keypoints_3d=None``, and the converter then looks for
    the shape of ``None``: no config that converts COCO-WholeBody trains.
    """
    from mmpose.datasets.transforms import KeypointConverter

    stock = KeypointConverter.transform
    if hasattr(stock, '__wrapped__'):
        return

    @functools.wraps(stock)
    def transform(self, results: dict) -> dict:
        if results.get('keypoints_3d', True) is None:
            del results['keypoints_3d']
        return stock(self, results)

    KeypointConverter.transform = transform
