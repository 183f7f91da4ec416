"""What a path or an array holds."""

import mimetypes
from pathlib import Path
from typing import Union

import mmcv
import numpy as np
from mmengine.dataset import Compose
from mmpose.datasets.transforms import LoadImage

# what OpenCV reads and Python alone, on a machine without mime.types, does not know
for _kind in ('image/webp', 'video/mkv', 'video/m4v', 'video/wmv', 'video/flv'):
    mimetypes.add_type(_kind, f'.{_kind[6:]}')


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
    if not video or not video.opened:
        raise ValueError(f'{path}: no image, no readable video, no folder of images')
    return video
