from torch import nn


def move_stock_keys(
    module: nn.Module, state_dict: dict, prefix: str, name: str
) -> None:
    """Let a checkpoint of the stock model fill the stock part of a wrapper.

    Keys that only the wrapped part has move under it, in place:
    ``<prefix>weight`` → ``<prefix><name>.weight``.

    Args:
        module (nn.Module): The wrapper.
        state_dict (dict): What is being loaded.
        prefix (str): Where the wrapper is in the model.
        name (str): Attribute of the wrapper that holds the stock part.
    """
    own = {f'{prefix}{key}' for key in module.state_dict()}
    for key in list(state_dict):
        moved = f'{prefix}{name}.{key[len(prefix) :]}'
        if key.startswith(prefix) and key not in own and moved in own:
            state_dict[moved] = state_dict.pop(key)
