"""Names of the files that are written for images, never one for two of them."""

import os
from collections import Counter
from typing import Any, List, Sequence, Set


def picture_names(paths: Sequence[str]) -> List[str]:
    """The base name of each image, as MMPose names its picture, where it is unique.

    ``cam1/1.jpg`` and ``cam2/1.jpg`` become ``cam1_1.jpg`` and ``cam2_1.jpg``; a file
    that is given twice gets its place behind its name.
    """
    parts = [os.path.normpath(path).split(os.sep) for path in paths]
    names = [path[-1] for path in parts]
    for length in range(2, max(map(len, parts), default=0) + 1):
        shared = _shared(names)
        if not shared:
            break
        names = [
            '_'.join(part for part in path[-length:] if part) if i in shared else name
            for i, (path, name) in enumerate(zip(parts, names))
        ]
    for i in sorted(_shared(names)):
        stem, suffix = os.path.splitext(names[i])
        names[i] = f'{stem}_{i}{suffix}'
    return names


def prediction_names(pictures: Sequence[str]) -> List[str]:
    """``NAME.json`` as MMPose has it, or ``NAME.SUFFIX.json`` where two share it."""
    stems = [os.path.splitext(name)[0] for name in pictures]
    shared = _shared(stems)
    return [
        f'{pictures[i] if i in shared else stem}.json' for i, stem in enumerate(stems)
    ]


def _shared(names: Sequence[Any]) -> Set[int]:
    """Places of names that are there twice, for some file systems whatever the case."""
    folded = [name.casefold() for name in names]
    counts = Counter(folded)
    return {i for i, name in enumerate(folded) if counts[name] > 1}
