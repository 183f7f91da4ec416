"""A config file that changes another one, as a person would write it."""

import copy
import re
from typing import Any, Dict

from mmengine.config import Config

WIDTH = 88
HEADINGS = {
    'model': 'model settings',
    'train_dataloader': 'data loaders',
    'val_evaluator': 'evaluators',
}


class Base:
    """A value of the stock config, ``_base_.<path>`` in a config file.

    Args:
        path (str): such as ``'model.head'`` or ``'val_evaluator[0]'``.
        star (bool): Whether its items go into the list around it.
        **updates: Keys that change, where the value is a dict.
    """

    def __init__(self, path: str, star: bool = False, **updates: Any):
        self.path = path
        self.star = star
        self.updates = updates


class Variable(int):
    """A number that stands in the config file under the name ``num_instances``."""


def values(tree: Any, cfg: Config) -> Any:
    """The changes with the values of the stock config in place."""
    if isinstance(tree, Base):
        value = cfg
        for name, index in re.findall(r'(\w+)|\[(\d+)\]', tree.path):
            value = value[name or int(index)]
        value = copy.deepcopy(value)
        return dict(value, **values(tree.updates, cfg)) if tree.updates else value
    if isinstance(tree, Variable):
        return int(tree)
    if isinstance(tree, dict):
        return {key: values(value, cfg) for key, value in tree.items()}
    if isinstance(tree, list):
        items = []
        for item in tree:
            star = isinstance(item, Base) and item.star
            items += values(item, cfg) if star else [values(item, cfg)]
        return items
    return tree


def apply_changes(cfg: Config, changes: Dict[str, Any]) -> Config:
    """A config with the changes merged in; what ``cfg`` has stays as it is."""
    changed = copy.deepcopy(cfg)
    changed.merge_from_dict(values(changes, cfg))
    return changed


def config_text(base: str, changes: Dict[str, Any]) -> str:
    """The Python file that inherits a stock config and changes it.

    Args:
        base (str): The stock config, as ``_base_`` names it.
        changes (dict): As :func:`mipnet_changes` gives them.
    """
    lines = [f'_base_ = {base!r}']
    written: Dict[int, str] = {}
    for name, value in changes.items():
        if name in HEADINGS:
            lines += ['', f'# {HEADINGS[name]}']
        if id(value) in written:
            text = written[id(value)]
        elif isinstance(value, Variable):
            text = repr(int(value))
        else:
            text = _text(value, 0, len(f'{name} = '))
        lines.append(f'{name} = {text}')
        written[id(value)] = name
    return '\n'.join(lines) + '\n'


def _text(value: Any, indent: int, before: int) -> str:
    """On one line where ``before`` characters leave room, else an item a line."""
    if isinstance(value, Base) and not value.updates:
        return f'{"*" * value.star}_base_.{value.path}'
    if isinstance(value, Variable):
        return 'num_instances'
    items = []
    if isinstance(value, Base):
        opening, closing = 'dict(', ')'
        items = [('', Base(value.path)), *_keywords(value.updates)]
    elif isinstance(value, dict):
        opening, closing = 'dict(', ')'
        items = _keywords(value)
    elif isinstance(value, list):
        opening, closing = '[', ']'
        items = [('', item) for item in value]
    else:
        return repr(value)
    joined = ', '.join(key + _text(item, 0, 0) for key, item in items)
    line = f'{opening}{joined}{closing}'
    if '\n' not in line and indent + before + len(line) < WIDTH:
        return line
    inner = indent + 4
    rows = [f'{" " * inner}{key}{_text(item, inner, len(key))}' for key, item in items]
    last = ',' if len(items) > 1 else ''  # as black and ruff do it
    return '{}\n{}{}\n{}{}'.format(
        opening, ',\n'.join(rows), last, ' ' * indent, closing
    )


def _keywords(items: Dict[str, Any]) -> list:
    return [(f'{key}=', value) for key, value in items.items()]
