"""A config file that changes another one, as a person would write it."""

import copy
from typing import Any

from mmengine.config import Config
from yapf.yapflib.yapf_api import FormatCode

# as MMPose's configs
STYLE = dict(based_on_style='pep8', column_limit=88)
STYLE['split_before_expression_after_opening_paren'] = True
HEADINGS = dict(train_cfg='runtime', optim_wrapper='optimizer', custom_hooks='hooks')
HEADINGS.update(param_scheduler='learning policy', model='model settings')
HEADINGS.update(train_dataloader='data loaders', val_evaluator='evaluators')


class Code(str):
    """An expression of the config file, such as ``_base_.model.head``."""


def base(path: str, **updates: Any) -> Code:
    """A value of the stock config, or a dict of it with some keys changed."""
    name = f'_base_.{path}'
    return Code(f'dict({name}, {_keywords(updates)})' if updates else name)


def apply_changes(cfg: Config, changes: dict[str, Any]) -> Config:
    """A config with the changes merged in; what ``cfg`` has stays as it is."""
    changed = copy.deepcopy(cfg)
    values = dict(_base_=copy.deepcopy(cfg))
    for name, value in changes.items():
        values[name] = eval(_text(value), values)  # as MMEngine reads a config file
    changed.merge_from_dict({name: copy.deepcopy(values[name]) for name in changes})
    return changed


def config_text(stock: str, changes: dict[str, Any]) -> str:
    """The Python file that inherits a stock config, as ``_base_`` names it."""
    lines = [f'_base_ = {stock!r}']
    for name, value in changes.items():
        if name in HEADINGS:
            lines += ['', f'# {HEADINGS[name]}']
        lines.append(f'{name} = {_text(value)}')
    return FormatCode('\n'.join(lines) + '\n', style_config=STYLE)[0]


def _text(value: Any) -> str:
    if isinstance(value, dict) and all(map(str.isidentifier, value)):
        return f'dict({_keywords(value)})'
    if isinstance(value, dict):
        items = (f'{key!r}: {_text(item)}' for key, item in value.items())
        return f'{{{", ".join(items)}}}'
    if isinstance(value, list):
        return f'[{", ".join(map(_text, value))}]'
    return value if isinstance(value, Code) else repr(value)


def _keywords(items: dict[str, Any]) -> str:
    return ', '.join(f'{key}={_text(value)}' for key, value in items.items())
