"""Lets mmengine replace a checkpoint only when the new one is whole.

mmengine 0.10 writes a file under its own name: a process killed meanwhile leaves half
of it there, and what stood there before is lost.
"""

import os

from mmengine.fileio import LocalBackend

from .patches import replace_once


def write_checkpoints_whole() -> bool:
    """Have mmengine's local files renamed into place once they are written.

    Returns:
        bool: Whether that was not so before.
    """

    def make(stock):
        def put(self, obj, filepath):
            part = f'{filepath}.part'
            try:
                stock(self, obj, part)
                os.replace(part, filepath)
            except BaseException:  # a full disk, Ctrl-C
                if os.path.exists(part):
                    os.remove(part)
                raise

        return put

    return replace_once(LocalBackend, 'put', make)
