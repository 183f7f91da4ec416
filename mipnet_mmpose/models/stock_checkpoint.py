"""What a model must find in a checkpoint, of its own or of the stock model."""

import re
from pathlib import Path
from typing import Union

from mmengine.runner import CheckpointLoader
from torch import nn

from .mimb import MIMB


def move_stock_keys(
    module: nn.Module, state_dict: dict, prefix: str, name: str
) -> None:
    """Let a checkpoint of the stock model fill the stock part of a wrapper.

    Keys that do not belong to a submodule of the wrapper move, in place, under the
    attribute ``name``: ``<prefix>weight`` → ``<prefix><name>.weight``.
    """
    children = dict(module.named_children())
    for key in list(state_dict):
        rest = key[len(prefix) :]
        if key.startswith(prefix) and rest.split('.')[0] not in children:
            state_dict[f'{prefix}{name}.{rest}'] = state_dict.pop(key)


def is_ours(key: str) -> bool:
    """Whether a key of a model's state dict is none of the stock model."""
    return '.mimbs.' in key


def load_whole_checkpoint(model: nn.Module, checkpoint: Union[str, Path]) -> None:
    """Load a checkpoint, which must have all weights of a model, into it."""
    loaded = CheckpointLoader.load_checkpoint(str(checkpoint), map_location='cpu')
    load_weights(model, loaded, checkpoint)


def load_weights(
    model: nn.Module, loaded: dict, checkpoint: object, stock_alone: bool = False
) -> None:
    """Load what a checkpoint file holds, of a model alone or wrapped (``module.``).

    With ``stock_alone`` it may lack what is :func:`is_ours`, which then stays.

    Raises:
        ValueError: where it lacks anything else; names the file and one of the keys.
    """
    state = loaded.get('state_dict', loaded)
    state = {re.sub(r'^module\.', '', key): value for key, value in state.items()}
    missing = [
        key
        for key in model.load_state_dict(state, strict=False).missing_keys
        if not (key.endswith('.num_batches_tracked') or stock_alone and is_ours(key))
    ]
    if missing:  # mmengine only logs them
        raise ValueError(
            f'{checkpoint} has no weights for {len(missing)} of the '
            f"model's parameters, such as {missing[0]}"
        )


def check_mimbs_loaded(
    model: nn.Module, checkpoint: Union[str, Path, None] = None
) -> None:
    """Raise ValueError where a model was loaded from a checkpoint without its MIMBs.

    A training may start from one of the stock model; poses of untrained MIMBs say
    nothing. A model that was never loaded, or trained since, passes.
    """
    mimbs = [module for module in model.modules() if isinstance(module, MIMB)]
    missing = [mimb for mimb in mimbs if mimb.was_loaded is False]
    if missing:
        raise ValueError(
            f'{checkpoint or "the checkpoint"} has no weights for {len(missing)} of '
            f'the {len(mimbs)} MIMBs of the config: is it of the stock model? Train '
            'the MIPNet first, with load_from=<this checkpoint>'
        )
