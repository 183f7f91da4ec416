"""Synthetic crowds: pictures of overlapping mannequins with exact annotations.

Needs numpy and OpenCV only. ``tools/synthcrowd.py`` is the command for it.
"""

from .dataset import generate
from .scene import generate_image

__all__ = ['generate', 'generate_image']
