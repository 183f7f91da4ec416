"""Whether the images that an annotation file names lie where the data are."""

import os
from typing import List, Sequence

from mmengine.dataset import BaseDataset

from .multi_instance_dataset import is_stock, walk_datasets


def paths_outside(dataset: BaseDataset) -> List[str]:
    """Images that a dataset would read from outside of its folders.

    An annotation file may name any file of the machine, by ``..`` or from the root.
    Links inside a folder are followed: who made the folder chose them.

    Args:
        dataset (BaseDataset): A stock dataset, or one that wraps stock datasets.

    Returns:
        list[str]: paths, sorted, that are neither in ``data_root`` nor in a folder of
        ``data_prefix``.
    """
    outside = set()
    for part in filter(is_stock, walk_datasets(dataset)):
        folders = [part.data_root, *part.data_prefix.values()]
        folders = [os.path.abspath(folder) for folder in folders if folder]
        if not folders:
            continue  # paths as they are, of a dataset without folders
        for i in range(len(part)):
            for path in image_paths(BaseDataset.get_data_info(part, i)):
                if '://' not in path and not any(_inside(path, f) for f in folders):
                    outside.add(path)
    return sorted(outside)


def image_paths(info: dict) -> List[str]:
    """The images of a sample: of a video several, the person's frame first."""
    paths = info['img_path']
    return [paths] if isinstance(paths, str) else list(paths)


def on_disk(paths: Sequence[str]) -> List[bool]:
    """Whether each file exists, each folder being listed once."""
    folders = {os.path.dirname(path) for path in paths}
    names = {f: set(os.listdir(f or '.')) for f in folders if os.path.isdir(f or '.')}
    return [os.path.basename(p) in names.get(os.path.dirname(p), ()) for p in paths]


def _inside(path: str, folder: str) -> bool:
    return os.path.abspath(path).startswith(os.path.join(folder, ''))
