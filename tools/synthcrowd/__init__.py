"""Synthetic crowds: pictures of overlapping mannequins with exact annotations.

Needs numpy, OpenCV and tqdm only. ``python tools/synthcrowd.py`` is the command for it;
with ``tools`` in ``sys.path`` it is imported as ``synthcrowd``.
"""

from .dataset import generate
from .scene import generate_image

__all__ = ['generate', 'generate_image']
