import gc
import json
from typing import Any

from mmengine.fileio import get_local_path


def load_json(path: str) -> Any:
    """The content of a JSON file.

    Raises:
        ValueError: where it is none.
        OSError: where it cannot be read.
    """
    collects = gc.isenabled()
    with get_local_path(str(path)) as local_path, open(local_path, 'rb') as stream:
        gc.disable()  # no garbage comes of it, and looking for some takes twice as long
        try:
            return json.load(stream)
        except ValueError as error:  # of JSON or of the text's encoding
            raise ValueError(f'{path}: this is not a JSON file ({error})') from error
        finally:
            if collects:
                gc.enable()
