"""Images and their boxes, of paths and arrays."""

import mimetypes
import warnings
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Callable, NamedTuple, Optional, Union

import mmcv
import numpy as np
from mmengine.dataset import Compose
from mmpose.datasets.transforms import LoadImage

from .boxes_file import boxes_from_file

# what OpenCV reads and Python alone, on a machine without mime.types, does not know
for _kind in ('image/webp', 'image/jfif', 'video/mkv', 'video/m4v', 'video/wmv'):
    mimetypes.add_type(_kind, f'.{_kind[6:]}')
for _kind in ('video/flv', 'video/mts', 'video/m2ts', 'video/3gp', 'video/ogv'):
    mimetypes.add_type(_kind, f'.{_kind[6:]}')


class BoxedImage(NamedTuple):
    """An image that is ready for inference."""

    pixels: Optional[np.ndarray]  # BGR, (H, W, 3); None if it could not be read
    boxes: np.ndarray  # left, top, right, bottom, score, float32, (n, 5)
    box_indices: np.ndarray  # places among the boxes given, (n, )
    metainfo: dict[str, Any]  # img_id, img_path


def load_images(
    images: Iterable,
    pipeline: Compose,
    bboxes: Union[Sequence, str, Path, None] = None,
    detect: Optional[Callable[[np.ndarray], np.ndarray]] = None,
) -> Iterator[BoxedImage]:
    """Load images and their boxes: given, of a file, detected, or the whole image.

    At the end a warning counts the images that cannot be read, another the boxes that
    hold no part of their image.

    Raises:
        ValueError: where the boxes are not one array per image.
    """
    if isinstance(bboxes, (str, Path)):
        _, bboxes, _ = boxes_from_file(bboxes, images)
    elif bboxes is not None:
        # a video may have fewer frames than its header says, or more
        listed = isinstance(images, (list, tuple))
        bboxes = check_boxes(bboxes, len(images) if listed else len(bboxes))
    skipped: dict[str, list] = dict(images=[], boxes=[])
    try:
        for i, image in enumerate(images):
            # an array is called by its place, as in MMPose
            path = str(image) if isinstance(image, (str, Path)) else f'{i:06d}.jpg'
            pixels, size, boxes = None, (0, 0), np.zeros((0, 5), np.float32)
            try:
                pixels = read_image(image, pipeline)
            except ValueError as error:
                skipped['images'].append(str(error))  # the error holds the file
            else:
                size = pixels.shape[1::-1]
                if bboxes is not None:
                    boxes = bboxes[i] if i < len(bboxes) else boxes
                else:
                    whole = np.array([[0, 0, *size, 1]], np.float32)
                    boxes = whole if detect is None else detect(pixels)
            inside = np.minimum(boxes[:, 2:4], size) > np.maximum(boxes[:, :2], 0)
            inside = inside.all(axis=1) & np.isfinite(boxes).all(axis=1)
            skipped['boxes'] += [f'{path}: {box[:4]}' for box in boxes[~inside]]
            info = dict(img_id=i, img_path=path)
            yield BoxedImage(pixels, boxes[inside], np.flatnonzero(inside), info)
    finally:  # also where the caller stops early
        for what, cases in skipped.items():
            if cases:
                first = f'{what} skipped: {len(cases)}, the first: {cases[0]}'
                warnings.warn(first, stacklevel=2)


def check_boxes(bboxes: Sequence, num_images: int) -> list[np.ndarray]:
    """Boxes with a score (n, 5) of each image; of one image also its boxes alone."""
    if num_images == 1 and (not len(bboxes) or np.ndim(bboxes[0]) == 1):
        bboxes = [bboxes]
    arrays = [np.asarray(boxes, dtype=np.float32) for boxes in bboxes]
    arrays = [a if a.size else a.reshape(0, 5) for a in arrays]
    shapes = [array.shape for array in arrays]
    if len(shapes) != num_images or not {s[1:] for s in shapes} <= {(4,), (5,)}:
        raise ValueError(
            'bboxes has for each image (n, 4) of left, top, right, bottom, or (n, 5) '
            f'with a score; got {len(shapes)} entries for {num_images} images, of '
            f'shapes {[*dict.fromkeys(shapes)][:5]}'
        )
    return [np.c_[a, np.ones(len(a), a.dtype)][:, :5] for a in arrays]


def read_image(image: Union[str, Path, np.ndarray], pipeline: Compose) -> np.ndarray:
    """An image (H, W, 3), BGR, of a file or array, as the pipeline would load it.

    Raises:
        ValueError: where it cannot be read, or the array has another shape.
    """
    if not isinstance(image, np.ndarray):
        first = pipeline.transforms[0]
        loader = first if isinstance(first, LoadImage) else LoadImage()
        try:
            image = loader.transform(dict(img_path=str(image)))['img']
        except Exception as error:  # whatever the decoder of the config raises
            raise ValueError(f'{image}: not a readable image') from error
    if image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(f'an image is (H, W, 3), BGR, got shape {image.shape}')
    return image


def list_images(path: Union[str, Path]) -> Union[list[str], mmcv.VideoReader]:
    """The image, the images of a folder in the order of their names, or a video.

    Raises:
        ValueError: where there is none.
    """
    path = Path(path)
    if not path.exists():
        raise ValueError(f'{path}: no such file or folder')
    files = sorted(path.iterdir()) if path.is_dir() else [path]
    kinds = [(mimetypes.guess_type(file.name)[0] or '')[:5] for file in files]
    images = [str(file) for file, kind in zip(files, kinds) if kind == 'image']
    if images:
        return images
    video = mmcv.VideoReader(str(path)) if path.is_file() else None
    if kinds != ['video'] or not video or not video.opened:
        raise ValueError(f'{path}: no image, no readable video, no folder of images')
    return video
