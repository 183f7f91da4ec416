"""Lets mmengine replace a checkpoint only when the new one is whole.

mmengine 0.10 writes a file under its own name: a process killed meanwhile leaves half
of it there, and what stood there before is lost.
"""

import functools
import os

from mmengine.fileio import LocalBackend


def write_checkpoints_whole():
    """Have mmengine's local files renamed into place once they are written.

    Returns:
        bool: Whether that was not so before.
    """
    stock = LocalBackend.put
    if hasattr(stock, '__wrapped__'):
        return False

    @functools.wraps(stock)
    def put(self, obj, filepath):
        part = f'{filepath}.part'
        stock(self, obj, part)
        os.replace(part, filepath)

    LocalBackend.put = put
    return True
