"""The configs and scripts that MMPose installs beside itself, and ours."""

import difflib
from pathlib import Path

import mmpose

MMPOSE = Path(mmpose.__file__).resolve().parent
STOCK_CONFIGS = MMPOSE / '.mim' / 'configs'
PACKAGE = Path(__file__).resolve().parent
MIM = PACKAGE / '.mim'  # of a wheel
OUR_CONFIGS = (MIM if MIM.is_dir() else PACKAGE.parent) / 'configs'


def find_config(name: str) -> Path:
    """The file of a config.

    Args:
        name (str): A path, or the last part of the path of one of MMPose's configs or
            of ours, with or without ``.py``: ``'td-hm_hrnet-w32_8xb64-210e_coco-
            256x192'``. ``'mmpose::PATH'`` and ``'mipnet_mmpose::PATH'`` are of one.

    Raises:
        ValueError: where there is none or more than one, with those that are close.
    """
    if Path(name).is_file():
        return Path(name).resolve()
    package, _, path = str(name).rpartition('::')
    folders = {'mmpose': STOCK_CONFIGS, 'mipnet_mmpose': OUR_CONFIGS}
    folders = {p: folder for p, folder in folders.items() if package in ('', p)}
    end = f'/{path[:-3] if path.endswith(".py") else path}.py'
    files = [file for folder in folders.values() for file in folder.rglob('*.py')]
    found = [file for file in files if file.as_posix().endswith(end)]
    if len(found) == 1:
        return found[0]
    close = found or difflib.get_close_matches(
        Path(end).stem, [file.stem for file in files], cutoff=0.8
    )
    raise ValueError(
        f'CONFIG {name} {"may be one of several" if found else "does not exist"}'
        + ''.join(f'\n  {other}' for other in close)
    )


def mmpose_file(path: str) -> Path:
    """A file such as ``tools/train.py`` of MMPose, installed or in a clone of it."""
    for folder in (MMPOSE / '.mim', MMPOSE.parent):
        if (folder / path).is_file():
            return folder / path
    raise FileNotFoundError(f'MMPose in {MMPOSE} has no {path}')
