"""Files that are never there by half, whenever the process is killed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Union


@contextmanager
def written_whole(path: Union[str, Path]) -> Iterator[Path]:
    """Write under another name, renamed at the end; nothing is left of a failure.

    Args:
        path (str | Path): what is to be written, its folder is made.

    Yields:
        Path: where to write instead, in the same folder and with the same suffix.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f'.{os.getpid()}.{path.name}')
    try:
        yield part
        os.replace(part, path)
    finally:
        if part.exists():
            part.unlink()


def write_text(path: Union[str, Path], text: str) -> None:
    """Write a text file whole, in UTF-8."""
    with written_whole(path) as part:
        part.write_text(text, encoding='utf-8')
