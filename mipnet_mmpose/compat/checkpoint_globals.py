"""Lets ``torch.load`` read mmengine's checkpoints under ``weights_only=True``.

That is the default from torch 2.6 on. It refuses every global but tensors, and
mmengine 0.10 stores its log (``HistoryBuffer``, on numpy arrays) beside the weights.
"""

import pickle
from typing import Any, Callable

import numpy as np
import torch
from mmengine.logging import HistoryBuffer
from mmengine.utils import digit_version

# what HistoryBuffer._set_default_statistics registers, and so what is pickled
STATISTICS = ('current', 'max', 'mean', 'min')


def history_buffer_getattr(owner: Any, name: str) -> Callable:
    """``getattr``, but for the statistics methods of ``HistoryBuffer`` alone.

    A pickle names them so. The real ``getattr`` would open the way to any code.
    """
    if owner is HistoryBuffer and name in STATISTICS:
        return getattr(owner, name)
    raise pickle.UnpicklingError(
        f'refused getattr({owner!r}, {name!r}): a checkpoint needs it for the methods '
        f'{", ".join(STATISTICS)} of HistoryBuffer alone. Do not trust this file'
    )


def admit_checkpoint_globals() -> None:
    """Admit the globals of mmengine's checkpoints, and no others."""
    if digit_version(torch.__version__) < digit_version('2.6'):
        return  # it loads all
    # numbers and truth values; an object array could hold anything
    codes = '?' + np.typecodes['AllInteger'] + np.typecodes['Float']
    admitted = {type(np.dtype(code)) for code in codes}
    admitted |= {HistoryBuffer, np.ndarray, np.dtype}
    reconstruct, scalar = (x.__reduce__()[0] for x in (np.zeros(1), np.float32(0)))
    # numpy 2 moved the module: a file may come from either
    for module in ('numpy.core.multiarray', 'numpy._core.multiarray'):
        admitted.add((reconstruct, f'{module}._reconstruct'))
        admitted.add((scalar, f'{module}.scalar'))
    admitted.add((history_buffer_getattr, 'builtins.getattr'))
    # an array of no elements: the sigmas of MMPose's hand, face and fashion datasets
    admitted |= {(bytes, 'bytes'), (bytes, 'builtins.bytes')}
    torch.serialization.add_safe_globals(list(admitted))
