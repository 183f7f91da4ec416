import re
from pathlib import Path
from typing import List, Union

from mmengine.runner import CheckpointLoader
from torch import nn

from .mimb import MIMB


def move_stock_keys(
    module: nn.Module, state_dict: dict, prefix: str, name: str
) -> None:
    """Let a checkpoint of the stock model fill the stock part of a wrapper.

    Keys that do not belong to a submodule of the wrapper move, in place, under
    its stock part: ``<prefix>weight`` → ``<prefix><name>.weight``.

    Args:
        module (nn.Module): The wrapper.
        state_dict (dict): What is being loaded.
        prefix (str): Where the wrapper is in the model.
        name (str): Attribute of the wrapper that holds the stock part.
    """
    children = dict(module.named_children())
    for key in list(state_dict):
        rest = key[len(prefix) :]
        if key.startswith(prefix) and rest.split('.')[0] not in children:
            state_dict[f'{prefix}{name}.{rest}'] = state_dict.pop(key)


def load_whole_checkpoint(model: nn.Module, checkpoint: Union[str, Path]) -> None:
    """Load a checkpoint that must have all weights of a model.

    Args:
        model (nn.Module): filled in place.
        checkpoint (str | Path): file with or without a ``state_dict``, of a model
            alone or wrapped for several processes (``module.``).

    Raises:
        ValueError: where it lacks some; names the file and one of them.
    """
    _refuse_missing(_load(model, checkpoint), checkpoint)


def load_stock_weights(model: nn.Module, checkpoint: Union[str, Path]) -> None:
    """Load a checkpoint that must have all weights of the stock model inside.

    Args:
        model (nn.Module): filled in place; its MIMBs and presence stay as they are
            where the checkpoint has none.
        checkpoint (str | Path): as for :func:`load_whole_checkpoint`.

    Raises:
        ValueError: where it lacks some; names the file and one of them.
    """
    missing = _load(model, checkpoint)
    ours = [k for k in missing if '.mimbs.' in k or k.startswith('head.presence.')]
    _refuse_missing([key for key in missing if key not in ours], checkpoint)


def _load(model: nn.Module, checkpoint: Union[str, Path]) -> List[str]:
    """Fill a model; the keys that the checkpoint lacks."""
    loaded = CheckpointLoader.load_checkpoint(str(checkpoint), map_location='cpu')
    state = loaded.get('state_dict', loaded)
    # as mmengine's load_checkpoint, which does not say what is missing
    state = {re.sub(r'^module\.', '', key): value for key, value in state.items()}
    return model.load_state_dict(state, strict=False).missing_keys


def _refuse_missing(missing: List[str], checkpoint: Union[str, Path]) -> None:
    missing = [key for key in missing if not key.endswith('.num_batches_tracked')]
    if missing:
        raise ValueError(
            f'{checkpoint} has no weights for {len(missing)} of the '
            f"model's parameters, such as {missing[0]}"
        )


def check_mimbs_loaded(model: nn.Module, checkpoint: Union[str, Path, None]) -> None:
    """Refuse a checkpoint without MIMBs that a model was just loaded from.

    A training may start from one of the stock model; poses of untrained MIMBs say
    nothing.

    Args:
        model (nn.Module): after loading.
        checkpoint (str | Path | None): for the error.

    Raises:
        ValueError: where a MIMB of the model was not in the checkpoint.
    """
    mimbs = [module for module in model.modules() if isinstance(module, MIMB)]
    missing = [mimb for mimb in mimbs if mimb.was_loaded is False]
    if missing:
        raise ValueError(
            f'{checkpoint} has no weights for {len(missing)} of the {len(mimbs)} MIMBs '
            'of the config: is it of the stock model? Train the MIPNet first, with '
            'load_from=<this checkpoint>'
        )
