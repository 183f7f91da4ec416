from pathlib import Path
from typing import Union

from mmengine.runner import load_checkpoint
from torch import nn


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
        checkpoint (str | Path): file with or without a ``state_dict``.

    Raises:
        ValueError: where it lacks some; names the file and one of them.
    """
    loaded = load_checkpoint(model, str(checkpoint), map_location='cpu')
    state = loaded.get('state_dict', loaded)
    missing = model.load_state_dict(state, strict=False).missing_keys
    missing = [key for key in missing if not key.endswith('.num_batches_tracked')]
    if missing:
        raise ValueError(
            f'{checkpoint} has no weights for {len(missing)} of the '
            f"model's parameters, such as {missing[0]}"
        )
