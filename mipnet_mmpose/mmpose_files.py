"""The configs and scripts that MMPose installs beside itself."""

from pathlib import Path

import mmpose

MMPOSE = Path(mmpose.__file__).resolve().parent
STOCK_CONFIGS = MMPOSE / '.mim' / 'configs'


def mmpose_tool(name: str) -> Path:
    """A script of MMPose's ``tools/``, installed or in a clone of MMPose.

    Raises:
        FileNotFoundError: where there is none of the name.
    """
    for folder in (MMPOSE / '.mim' / 'tools', MMPOSE.parent / 'tools'):
        if (folder / name).is_file():
            return folder / name
    raise FileNotFoundError(f'MMPose in {MMPOSE} has no tools/{name}')
