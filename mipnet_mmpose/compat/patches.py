"""Which changes are wanted, and how a function of another package is replaced once."""

import functools
import os
from typing import Any, Callable, Iterable, Set

VARIABLE = 'MIPNET_COMPAT'
MARK = '_mipnet_mmpose_compat'


def wanted_patches(known: Iterable[str]) -> Set[str]:
    """The changes to make, by the environment.

    ``MIPNET_COMPAT=0`` is none, ``MIPNET_COMPAT=-keypoint_converter`` all but this
    one; several are divided by commas.

    Args:
        known (Iterable[str]): Names of all changes.

    Raises:
        ValueError: where the variable names something else.
    """
    known = list(known)
    value = os.environ.get(VARIABLE, '').strip()
    if value == '0':
        return set()
    names = [name.strip() for name in value.split(',') if name.strip()]
    if names == ['1']:
        return set(known)
    left_out = {name[1:] for name in names if name.startswith('-')}
    if len(left_out) < len(set(names)) or not left_out <= set(known):
        raise ValueError(
            f'{VARIABLE}={value!r}: 0 for none, or the names to leave out, each with '
            f'a minus before it and commas between: {", ".join(known)}'
        )
    return set(known) - left_out


def replace_once(owner: Any, name: str, make: Callable[[Callable], Callable]) -> bool:
    """Replace a function of a class or module by one that calls it.

    Args:
        owner (type | module): What has the function.
        name (str): Its attribute.
        make (Callable): Makes the new function of the stock one.

    Returns:
        bool: Whether it was still the stock one, perhaps wrapped by somebody else.
    """
    stock = getattr(owner, name)
    if hasattr(stock, MARK):
        return False
    patched = functools.wraps(stock)(make(stock))
    setattr(patched, MARK, name)
    setattr(owner, name, patched)
    return True
