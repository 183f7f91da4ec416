"""Files and arrays that are taken for images and videos, on every machine."""

import mimetypes

import cv2
import numpy as np
import pytest
from mmengine.dataset import Compose

from mipnet_mmpose import load_image, open_images

IMAGE = np.full((60, 80, 3), 100, np.uint8)


@pytest.fixture
def no_mime_types(monkeypatch):
    """As in a slim container."""
    monkeypatch.setattr(mimetypes, 'guess_type', lambda *_, **__: (None, None))


def test_no_image_of_a_folder_is_left_out(no_mime_types, tmp_path):
    names = ['a.jpg', 'b.JPG', 'c.webp', 'd.jp2', 'e.tif', 'f.bmp', '図 1.png', 'g.ppm']
    for name in names:
        _, data = cv2.imencode(f'.{name.split(".")[-1].lower()}', IMAGE)
        (tmp_path / name).write_bytes(data.tobytes())
    (tmp_path / 'notes.txt').write_text('none')
    found = open_images(tmp_path)
    assert found == sorted(str(tmp_path / name) for name in names)


@pytest.mark.parametrize('suffix', ['avi', 'mkv', 'm4v', 'wmv', 'flv', 'MOV'])
def test_a_videos_frames_come_as_often_as_they_are_asked_for(
    suffix, no_mime_types, tmp_path
):
    (tmp_path / 'v.avi').touch()
    path = str(tmp_path / 'v.avi')
    writer = cv2.VideoWriter(path, cv2.VideoWriter_fourcc(*'MJPG'), 10, (80, 60))
    for _ in range(5):
        writer.write(IMAGE)
    writer.release()
    path = (tmp_path / 'v.avi').rename(tmp_path / f'v.{suffix}')  # OpenCV looks inside
    frames = open_images(path)
    for _ in range(2):
        assert [frame.shape for frame in frames] == [IMAGE.shape] * 5


def test_numbers_of_0_to_255_are_an_image():
    for dtype in ('f4', 'f8', 'i4', 'u2'):
        image = load_image(IMAGE.astype(dtype), Compose([]))
        assert image.dtype == np.uint8
        np.testing.assert_array_equal(image, IMAGE)
    assert load_image(np.zeros((2, 2), 'f4'), Compose([])).shape == (2, 2, 3)


@pytest.mark.parametrize(
    ('image', 'message'),
    [
        (IMAGE / 255, 'multiply by 255'),
        (IMAGE * 3.0, r'goes from 300\.0 to 300\.0'),
        (IMAGE - 200.0, r'goes from -100\.0'),
        (np.full((4, 4), np.nan), 'goes from nan'),
        (np.ones((4, 4), bool), 'no numbers'),
    ],
)
def test_other_arrays_are_refused_with_the_reason(image, message):
    with pytest.raises(ValueError, match=message):
        load_image(image, Compose([]))
