"""Every change to other packages; docs/several_gpus.md lists them.

They keep stock MMPose working on today's Python packages, and with what we add.
``MIPNET_COMPAT=0`` switches all off.
"""

import functools
import importlib.util
import os
import sys
from importlib.machinery import PathFinder
from pathlib import Path

__all__ = ['install']

EXT_NAME = 'mmcv._ext'


@functools.cache
def install() -> None:
    """Make the changes that this environment needs, before MMPose is imported."""
    if os.environ.get('MIPNET_COMPAT') == '0':
        return
    install_mmcv_ext()  # makes MMPose importable, which the others import
    from . import patches  # noqa: F401
    from .checkpoint_globals import admit_checkpoint_globals

    admit_checkpoint_globals()


def install_mmcv_ext() -> None:
    """Make ``mmcv.ops`` importable on mmcv-lite; full mmcv is left alone."""
    mmcv = importlib.util.find_spec('mmcv')
    # PathFinder looks without importing mmcv, which find_spec would do
    if (
        EXT_NAME in sys.modules
        or mmcv is None
        or PathFinder.find_spec(EXT_NAME, mmcv.submodule_search_locations)
    ):
        return
    # a spec with a loader: mmcv and mmengine look for it to know whether there are ops
    stand_in = Path(__file__).with_name('mmcv_ext.py')
    spec = importlib.util.spec_from_file_location(EXT_NAME, stand_in)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules[EXT_NAME] = module
