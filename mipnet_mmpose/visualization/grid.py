"""Pictures side by side and below each other, under titles."""

from collections.abc import Sequence

import cv2
import numpy as np

TITLE_HEIGHT = 28  # pixels
GAP = 16  # between columns
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


def picture_grid(
    strips: Sequence[np.ndarray], titles: Sequence[str], columns: int = 2
) -> np.ndarray:
    """Strips below each other in columns, each column under the same titles.

    Args:
        strips (Sequence[np.ndarray]): BGR uint8 of one size, (H, W, 3); at least one.
        titles (Sequence[str]): of the cells of a strip, which are of one width.
        columns (int): Filled one after the other. Defaults to 2.

    Returns:
        np.ndarray: the picture, white where there is nothing.
    """
    rows = -(-len(strips) // columns)
    blank = np.full_like(strips[0], 255)
    strips = [*strips, *[blank] * (rows * columns - len(strips))]
    parts = []
    for start in range(0, len(strips), rows):
        column = add_titles(np.vstack(strips[start : start + rows]), titles)
        parts += [column, np.full((len(column), GAP, 3), 255, np.uint8)]
    return np.hstack(parts[:-1])
