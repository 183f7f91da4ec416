"""Lets ``torch.load`` read mmengine's checkpoints under ``weights_only=True``.

That is the default from torch 2.6 on. It refuses every global but tensors, and
mmengine 0.10 stores its log (``HistoryBuffer``, on numpy arrays) beside the weights.
"""

import pickle

import numpy as np
import torch
from mmengine.logging import HistoryBuffer

try:
    from numpy._core import multiarray
except ImportError:  # numpy 1
    from numpy.core import multiarray

# What HistoryBuffer._set_default_statistics registers, and so what is pickled.
STATISTICS = ('current', 'max', 'mean', 'min')


def history_buffer_getattr(owner, name):
    """``getattr``, but for the statistics methods of ``HistoryBuffer`` alone.

    A pickle refers to such a method as ``getattr(HistoryBuffer, 'mean')``. The
    real ``getattr`` would open the way to any code.

    Raises:
        pickle.UnpicklingError: If anything else is asked for.
    """
    if owner is HistoryBuffer and name in STATISTICS:
        return getattr(owner, name)
    raise pickle.UnpicklingError(
        f'refused getattr({owner!r}, {name!r}): in a checkpoint getattr may only '
        f'name the HistoryBuffer methods {", ".join(STATISTICS)}. Do not trust '
        'this file.'
    )


def no_bytes():
    """``bytes()``, which is how an array of no elements is pickled.

    Such an array is the ``sigmas`` of MMPose's hand, face and fashion datasets.
    """
    return b''


def admit_checkpoint_globals():
    """Admit the globals of mmengine's checkpoints, and no others.

    Returns:
        bool: Whether this torch needed it.
    """
    # Before 2.6 the default is weights_only=False.
    if tuple(int(part) for part in torch.__version__.split('.')[:2]) < (2, 6):
        return False
    # Numbers and truth values; an object array could hold anything.
    codes = '?' + np.typecodes['AllInteger'] + np.typecodes['Float']
    admitted = {type(np.dtype(code)) for code in codes}
    admitted |= {HistoryBuffer, np.ndarray, np.dtype}
    # numpy 2 moved the module: a file may come from either.
    for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):
        admitted.add((multiarray._reconstruct, f'{module}._reconstruct'))
        admitted.add((multiarray.scalar, f'{module}.scalar'))
    admitted.add((history_buffer_getattr, 'builtins.getattr'))
    admitted |= {(no_bytes, f'{module}bytes') for module in ('', 'builtins.')}
    torch.serialization.add_safe_globals(list(admitted))
    return True
