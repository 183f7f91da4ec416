"""Puts :mod:`mmcv_ext` in the place of mmcv's compiled ops where they are missing."""

import importlib.util
import sys
from importlib.machinery import PathFinder
from pathlib import Path

EXT_NAME = 'mmcv._ext'


def install_mmcv_ext():
    """Make ``mmcv.ops`` importable on mmcv-lite.

    With full mmcv (its ``_ext`` is found beside it), or with no mmcv at all,
    nothing happens.

    Returns:
        bool: Whether ``mmcv._ext`` is the stand-in after the call.
    """
    stand_in = Path(__file__).with_name('mmcv_ext.py')
    if EXT_NAME in sys.modules:
        return getattr(sys.modules[EXT_NAME], '__file__', None) == str(stand_in)
    mmcv = importlib.util.find_spec('mmcv')
    # PathFinder looks without importing mmcv, which find_spec would do.
    if mmcv is None or PathFinder.find_spec(EXT_NAME, mmcv.submodule_search_locations):
        return False

    # A spec with a loader: mmcv and mmengine ask pkgutil and importlib for it to
    # find out whether ops are there.
    spec = importlib.util.spec_from_file_location(EXT_NAME, stand_in)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules[EXT_NAME] = module
    return True
