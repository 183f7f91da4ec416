"""List what ``import mipnet_mmpose`` changes outside of itself.

A process imports the stock packages, notes every attribute of their modules and
classes, imports this package and looks again. What is registered in MMPose's
registries is left out: that is what a plugin is for. The stand-in for ``mmcv._ext``
is there before, without which nothing can be compared.
"""

import argparse
import importlib
import importlib.util
import os
import pkgutil
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

PACKAGES = (
    'torch',
    'mmengine',
    'mmcv',
    'mmpose',
    'mmdet',
    'xtcocotools',
    'numpy',
    'cv2',
)
IMPORTED = ('mmengine', 'mmpose.apis', 'mmpose.datasets', 'mmpose.evaluation')
EXT = 'mmcv._ext'
SHADOW = Path('mipnet_mmpose/compat/mmcv_ext.py')


def parse_args():
    return argparse.ArgumentParser(description=__doc__).parse_args()


def import_stock():
    """The stock packages; without compiled mmcv through ops that are never called."""
    import mmcv

    if not any(m.name == '_ext' for m in pkgutil.iter_modules(mmcv.__path__)):
        path = Path(__file__).resolve().parents[1] / SHADOW
        spec = importlib.util.spec_from_file_location(EXT, path)
        sys.modules[EXT] = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(sys.modules[EXT])
    for name in IMPORTED:
        importlib.import_module(name)


def contents(value):
    """What a container holds, to see whether it was changed in place."""
    if type(value) in (dict, list, set) or type(value).__name__ == 'OrderedDict':
        return dict(value) if isinstance(value, dict) else list(value)
    return None


def snapshot():
    """Every attribute of the stock modules and their classes, by its name."""
    found = {}
    for name, module in list(sys.modules.items()):
        if name.split('.')[0] not in PACKAGES or name == EXT:
            continue
        for key, value in list(getattr(module, '__dict__', {}).items()):
            found[f'{name}.{key}'] = (value, contents(value))
            if isinstance(value, type) and value.__module__ == name:
                for attribute, inner in list(vars(value).items()):
                    found[f'{name}.{key}.{attribute}'] = (inner, contents(inner))
    return found


def same(before, after):
    if before[0] is not after[0]:
        return False
    if before[1] is None:
        return True
    if isinstance(before[1], dict):
        keys = before[1].keys() == after[1].keys()
        return keys and all(before[1][k] is after[1][k] for k in before[1])
    return len(before[1]) == len(after[1]) and all(
        a is b for a, b in zip(before[1], after[1])
    )


def is_noise(name, value):
    """Modules that were imported, registries, caches of Python itself."""
    key = name.rsplit('.', 1)[-1]
    noise = ('__warningregistry__', '__builtins__', '_abc_impl', '__annotations__')
    return type(value).__name__ == 'module' or key in noise or 'cache' in key.lower()


def main():
    parse_args()
    warnings.simplefilter('ignore')
    import_stock()
    import torch

    hooks = len(torch.nn.modules.module._global_module_registration_hooks)
    admitted = getattr(torch.serialization, 'get_safe_globals', list)
    globals_before = len(admitted())
    before = snapshot()
    modules = set(sys.modules)
    environment, filters = dict(os.environ), list(warnings.filters)

    importlib.import_module('mipnet_mmpose')

    after = snapshot()
    lines = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old is None:
            owner = name.rsplit('.', 1)[0]
            imported = owner not in modules and owner not in before  # only now
            if imported or name in sys.modules or is_noise(name, new[0]):
                continue
        if old is None:
            lines.append(f'added    {name}')
        elif new is None:
            lines.append(f'removed  {name}')
        elif not same(old, new) and not is_noise(name, new[0]):
            lines.append(f'changed  {name}')
    hooks = len(torch.nn.modules.module._global_module_registration_hooks) - hooks
    if hooks:
        lines.append(f'hook     on every torch.nn.Module that is registered ({hooks})')
    if len(admitted()) > globals_before:
        number = len(admitted()) - globals_before
        lines.append(f'admitted {number} globals in torch.load(weights_only=True)')
    if environment != dict(os.environ):
        lines.append('changed  os.environ')
    if filters != list(warnings.filters):
        lines.append('changed  warnings.filters')
    print('\n'.join(lines))
    print(f'{len(lines)} changes')


if __name__ == '__main__':
    main()
