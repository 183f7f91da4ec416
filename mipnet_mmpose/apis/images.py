"""Images as the test pipeline of a config reads them, and frames of a video."""

from pathlib import Path
from typing import Iterator, List, Optional, Union
from urllib.parse import urlsplit

import cv2
import numpy as np
from mmengine.dataset import Compose
from mmpose.datasets.transforms import LoadImage

# What OpenCV reads. mimetypes depends on the machine: a slim container knows few.
IMAGE_SUFFIXES = frozenset(
    'avif bmp dib gif jfif jp2 jpe jpeg jpg pbm pgm png pnm ppm ras sr tif tiff webp'
    ''.split()
)
VIDEO_SUFFIXES = frozenset(
    '3g2 3gp asf avi f4v flv m2ts m2v m4v mjpeg mjpg mkv mov mp4 mpe mpeg mpg mts ogv '
    'ts vob webm wmv'.split()
)


def load_image(
    image: Union[str, Path, np.ndarray, None], pipeline: Compose
) -> np.ndarray:
    """Read an image once for all its boxes, or check an array.

    Args:
        image (str | Path | np.ndarray | None): A file, read by the ``LoadImage`` of the
            pipeline: in colour, turned as its EXIF says. Or an array of 0 ... 255,
            whatever its type: BGR, BGRA (alpha is dropped) or grey. ``None`` is a
            damaged frame.
        pipeline (Compose): The test pipeline.

    Returns:
        np.ndarray: BGR, (H, W, 3).

    Raises:
        ValueError: where it cannot be read, or the array is no image.
    """
    if image is None:
        raise ValueError('a damaged frame')
    if isinstance(image, np.ndarray):
        return _check_array(image)
    if not isinstance(image, (str, Path)):
        raise ValueError(f'an image is a path or an array, got {type(image).__name__}')
    if not Path(image).is_file() and '://' not in str(image):
        raise ValueError(f'{image}: no such file')
    first = pipeline.transforms[0]
    loader = first if isinstance(first, LoadImage) else LoadImage()
    try:
        return loader.transform(dict(img_path=str(image)))['img']
    except Exception as error:  # whatever the decoder of the config raises
        raise ValueError(f'{image}: not a readable image') from error


def _check_array(image: np.ndarray) -> np.ndarray:
    channels = 1 if image.ndim == 2 else image.shape[-1]
    if image.ndim not in (2, 3) or channels not in (1, 3, 4) or not image.size:
        raise ValueError(
            f'an image is (H, W), (H, W, 3) or (H, W, 4), got shape {image.shape}'
        )
    if image.dtype != np.uint8:
        image = _as_uint8(image)
    if channels == 1:
        return np.repeat(image.reshape(*image.shape[:2], 1), 3, axis=2)
    return image[..., :3]


def _as_uint8(image: np.ndarray) -> np.ndarray:
    what = f'an image has values of 0 ... 255, this {image.dtype} array'
    if image.dtype.kind not in 'iuf':
        raise ValueError(f'{what} has no numbers')
    low, high = image.min(), image.max()
    if not (0 <= low and high <= 255):  # NaN neither
        raise ValueError(f'{what} goes from {low} to {high}')
    if image.dtype.kind == 'f' and 0 < high <= 1:
        raise ValueError(f'{what} has at most {high}: multiply by 255')
    return np.rint(image).astype(np.uint8)


class VideoFrames:
    """Frames of a video one after the other, ``None`` for one that is damaged.

    Each iteration starts at the first frame.

    Args:
        path (str): Video file.

    Raises:
        ValueError: where the file is no video that OpenCV can open.
    """

    def __init__(self, path: Union[str, Path]):
        self.path = path
        capture = self._open()
        self.fps = capture.get(cv2.CAP_PROP_FPS)
        self.width = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        self.height = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        self.length = max(int(capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
        capture.release()

    def _open(self) -> cv2.VideoCapture:
        capture = cv2.VideoCapture(str(self.path))
        if not capture.isOpened():
            raise ValueError(f'{self.path}: not a readable video')
        return capture

    def __len__(self) -> int:
        """Frames the file claims to hold; 0 where it does not say."""
        return self.length

    def __iter__(self) -> Iterator[Optional[np.ndarray]]:
        capture, index = self._open(), 0
        try:
            while True:
                read, frame = capture.read()
                if not read and index >= self.length:
                    break
                yield frame if read else None
                index += 1
        finally:
            capture.release()


def open_images(path: Union[str, Path]) -> Union[List[str], VideoFrames]:
    """The images of a folder in the order of their names, or a video's frames.

    Args:
        path (str | Path): Image, folder of images, or video.

    Raises:
        ValueError: where it is none of them.
    """
    if Path(path).is_dir():
        files = sorted(str(file) for file in Path(path).iterdir() if file.is_file())
        return [file for file in files if _media_type(file) == 'image']
    media = _media_type(str(path))
    if media not in ('image', 'video'):
        raise ValueError(f'{path}: not an image, a video or a folder')
    if '://' not in str(path) and not Path(path).is_file():
        raise ValueError(f'{path}: no such file')
    return [str(path)] if media == 'image' else VideoFrames(path)


def _media_type(path: str) -> str:
    suffix = Path(urlsplit(path).path if '://' in path else path).suffix[1:].lower()
    if suffix in IMAGE_SUFFIXES:
        return 'image'
    return 'video' if suffix in VIDEO_SUFFIXES else ''
