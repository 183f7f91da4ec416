"""Words on pictures."""

from collections.abc import Sequence

import cv2
import numpy as np

TITLE_HEIGHT = 28  # pixels
DARK = (30, 30, 30)


def write_title(
    image: np.ndarray, text: str, left: int = 6, color: tuple[int, int, int] = DARK
) -> None:
    """Write at the bottom of an image (H, W, 3), ``left`` pixels from its edge."""
    place, font = (left, len(image) - 8), cv2.FONT_HERSHEY_SIMPLEX
    cv2.putText(image, text, place, font, 0.45, color, 1, cv2.LINE_AA)


def add_titles(image: np.ndarray, titles: Sequence[str]) -> np.ndarray:
    """An image (H, W, 3) under a white bar with titles at even distances."""
    bar = np.full((TITLE_HEIGHT, image.shape[1], 3), 255, np.uint8)
    for i, title in enumerate(titles):
        write_title(bar, title, 6 + i * bar.shape[1] // len(titles))
    return np.vstack([bar, image])
