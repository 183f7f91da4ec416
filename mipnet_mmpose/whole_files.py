"""Files that are never there by half, whenever the process is killed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Union


@contextmanager
def written_whole(path: Union[str, Path]) -> Iterator[Path]:
    """Where to write instead of a path, renamed at the end; a failure leaves nothing.

    It is in the same folder, which is made, and has the same suffix.
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
