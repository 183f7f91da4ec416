"""Who else is in the image: the index from a sample to its siblings."""

import atexit
import hashlib
import os
import tempfile
from collections import defaultdict
from pathlib import Path
from typing import Sequence, Tuple

import numpy as np

from ..whole_files import written_whole


class SiblingIndex:
    """For each sample of a dataset the other persons of its image.

    Held as plain arrays, so that forked loader workers share their memory, and
    with :meth:`share` the ranks of a machine too.

    Args:
        image_keys (Sequence): what identifies the image of each of P samples.
        centers (np.ndarray): box centres in pixels of the image, (P, 2).
        keypoints (np.ndarray): in pixels of the image, (P, K, 2).
        visible (np.ndarray): above 0 where labelled, (P, K); or with the weight
            of each visibility beside it, (P, K, 2), as MMPose has it.
        min_keypoints (int): a person with fewer labelled keypoints is nobody's
            sibling.
    """

    def __init__(
        self,
        image_keys: Sequence,
        centers: np.ndarray,
        keypoints: np.ndarray,
        visible: np.ndarray,
        min_keypoints: int,
    ):
        self.centers = centers
        self.keypoints = keypoints
        self.visible = visible
        by_image = defaultdict(list)
        for index, key in enumerate(image_keys):
            by_image[key].append(index)
        labelled = visible[..., 0] if visible.ndim == 3 else visible
        labelled = (labelled > 0).sum(axis=1) >= min_keypoints

        self._order = [np.zeros(0, np.int32)] * len(image_keys)
        for members in by_image.values():
            members = np.array(members, np.int32)
            candidates = members[labelled[members]]
            for index in members:
                others = candidates[candidates != index]
                distance = np.linalg.norm(centers[others] - centers[index], axis=1)
                self._order[index] = others[np.argsort(distance, kind='stable')]
        self._end = np.cumsum([len(order) for order in self._order])
        self._order = np.concatenate([*self._order, np.zeros(0, np.int32)])

    def share(self) -> None:
        """Hold in one place what all processes of this machine hold alike."""
        for name in ('centers', 'keypoints', 'visible', '_order', '_end'):
            setattr(self, name, share_array(getattr(self, name)))

    def __len__(self) -> int:
        return len(self._end)

    def __getitem__(self, index: int) -> Tuple[np.ndarray, np.ndarray]:
        """Keypoints (S, K, 2) and visibility (S, K, ...), nearest box centre first."""
        others = self.others(index)
        return self.keypoints[others], self.visible[others]

    def others(self, index: int) -> np.ndarray:
        """Which samples the S siblings are, nearest box centre first, (S,)."""
        start = self._end[index - 1] if index else 0
        return self._order[start : self._end[index]]


def share_array(array: np.ndarray) -> np.ndarray:
    """The same array, read-only, in memory that the processes of a machine share.

    They map one file in the folder for temporary files. It is named after what it
    holds and removed when the first of them ends; killed ones leave it to the next
    run. Where it cannot be written, or is another user's, the array is returned as it
    is.
    """
    array = np.ascontiguousarray(array)
    if not array.size:
        return array
    digest = hashlib.sha256(f'{array.dtype.str} {array.shape}'.encode())
    digest.update(memoryview(array).cast('B'))
    path = Path(tempfile.gettempdir(), f'mipnet_siblings_{digest.hexdigest()}.npy')
    try:
        if not path.exists():
            with written_whole(path) as part:
                np.save(part, array)
        atexit.register(_remove, path)
        mapped = np.load(path, mmap_mode='r')
        if hasattr(os, 'getuid') and path.stat().st_uid != os.getuid():
            return array
    except (OSError, ValueError):
        return array
    return mapped.view(np.ndarray)


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except OSError:  # another process was first
        pass
