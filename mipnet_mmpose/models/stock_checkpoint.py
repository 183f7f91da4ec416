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
