"""The forward passes: crops batched across boxes and images."""

from collections import deque
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, NamedTuple, Optional, Union

import numpy as np
import torch
from mmengine.dataset import Compose, pseudo_collate
from mmpose.structures import PoseDataSample
from torch import nn

from .boxes import Boxes, check_boxes, whole_image
from .images import load_image
from .merge_boxes import merge_boxes
from .skipped import Skipped


class BoxedImage(NamedTuple):
    """An image that is ready for :func:`predict_images`."""

    pixels: Optional[np.ndarray]  # BGR, (H, W, 3); None if it could not be read
    boxes: Boxes
    metainfo: Dict[str, Any]  # img_id, img_path, ori_shape


def image_name(image: Any, index: int) -> str:
    """The path of an image; an array is called by its place, as in MMPose."""
    if isinstance(image, (str, Path)):
        return str(image)
    return f'{index}.jpg'.rjust(10, '0')


def box_image(
    image: Union[str, Path, np.ndarray, None],
    index: int,
    boxes: Union[Any, Callable[[np.ndarray], Any]],
    pipeline: Compose,
    skipped: Skipped,
) -> BoxedImage:
    """Load an image and check its boxes.

    Args:
        image (str | Path | np.ndarray | None): See :func:`load_image`.
        index (int): Place of the image, its ``img_id``.
        boxes (array-like | Callable | None): See :func:`check_boxes`, or a
            function that finds them in the image; ``None`` is the whole image
            as one box.
        pipeline (Compose): The test pipeline.
        skipped (Skipped): Counts images that cannot be read, and bad boxes.
    """
    named = isinstance(image, (str, Path))
    name = image_name(image, index)
    metainfo = dict(img_id=index, img_path=name)
    try:
        pixels = load_image(image, pipeline)
    except ValueError as error:
        example = str(error) if named else f'number {index}, {error}'
        skipped.add('images that cannot be used', example)
        return BoxedImage(None, check_boxes([], (0, 0)), dict(metainfo, ori_shape=None))
    size = pixels.shape[:2]
    if callable(boxes):
        boxes = boxes(pixels)
    if boxes is None:
        boxes = whole_image(size)
    usable = check_boxes(boxes, size)
    skipped.add(
        'boxes that are not finite, empty or outside the image',
        f'in {name}',
        len(boxes) - len(usable.indices),
    )
    return BoxedImage(pixels, usable, dict(metainfo, ori_shape=size))


@torch.no_grad()
def predict_images(
    model: nn.Module,
    pipeline: Compose,
    images: Iterable[BoxedImage],
    settings: Dict[str, Any],
    batch_size: int = 32,
) -> Iterator[PoseDataSample]:
    """The people of each image, the crops batched across boxes and images.

    Args:
        model (nn.Module): a top-down estimator with ``dataset_meta``.
        pipeline (Compose): its test pipeline.
        images (Iterable[BoxedImage]): read as far as a batch needs.
        settings (dict): from :func:`merge_settings`.
        batch_size (int): crops per forward pass. Defaults to 32.

    Yields:
        PoseDataSample: for each image in turn, see :func:`merge_boxes`.
    """
    if batch_size < 1:
        raise ValueError(f'batch_size must be at least 1, got {batch_size}')
    waiting, crops = deque(), []

    def run():
        batch = pseudo_collate([crop for crop, _ in crops])
        for sample, (_, samples) in zip(model.test_step(batch), crops):
            samples.append(sample)
        crops.clear()

    def finish():
        image, samples = waiting.popleft()
        indices, metainfo = image.boxes.indices, image.metainfo
        return merge_boxes(model, samples, indices, metainfo, settings)

    for image in images:
        samples = []
        waiting.append((image, samples))
        for box, score in zip(image.boxes.xyxy, image.boxes.scores):
            info = dict(model.dataset_meta, img=image.pixels, **image.metainfo)
            info.update(bbox=box[None], bbox_score=score[None])
            crops.append((pipeline(info), samples))
            if len(crops) == batch_size:
                run()
        if crops and len(waiting) > batch_size:  # many images without boxes
            run()
        while waiting and len(waiting[0][1]) == len(waiting[0][0].boxes.indices):
            yield finish()
    if crops:
        run()
    while waiting:
        yield finish()
