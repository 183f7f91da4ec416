"""Who else is in the image: the index from a sample to its siblings."""

from typing import NamedTuple

import numpy as np
from mmengine.dataset import BaseDataset
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from ..evaluation.merge_poses import UNKNOWN_SIGMA
from ..evaluation.oks import oks
from .masks import mask_share

SAME_OKS = 0.9  # two annotations as alike as this are of one person
PAIRS_AT_ONCE = 100_000


class Persons(NamedTuple):
    """The P samples of a top-down dataset as arrays.

    Shape:
        images ``(P, )``, a number for each image; boxes ``(P, 4)`` with left, top,
        right, bottom, and keypoints ``(P, K, 2)``, in pixels of the image; visible
        ``(P, K)``, above 0 where labelled, or ``(P, K, 2)`` with the weight of each
        visibility beside it, as MMPose has it; areas ``(P, )`` in square pixels;
        mask_shares ``(P, )``, see :func:`mask_share`, NaN without a mask.
    """

    images: np.ndarray
    boxes: np.ndarray
    keypoints: np.ndarray
    visible: np.ndarray
    areas: np.ndarray
    mask_shares: np.ndarray


def is_labelled(visible: np.ndarray) -> np.ndarray:
    """Which keypoints are labelled, bool (P, K), by visibility (P, K) or (P, K, 2)."""
    return (visible if visible.ndim == 2 else visible[..., 0]) > 0


def read_persons(dataset: BaseDataset, masks: bool = False) -> Persons:
    """Read every sample of a stock top-down dataset once, and perhaps the masks.

    Raises:
        ValueError: naming file and id, where a box is not finite or a person has
            another number of keypoints than the first one.
    """
    infos = dataset.data_list or (  # empty where it is serialized
        BaseDataset.get_data_info(dataset, i) for i in range(len(dataset))
    )
    numbers, rows = {}, []
    for info in infos:
        box, keypoints = np.reshape(info['bbox'], 4), info['keypoints'][0]
        num = len(rows[0][2]) if rows else len(keypoints)
        if not np.isfinite(box).all() or len(keypoints) != num:
            raise ValueError(
                f'{dataset.ann_file}: the person with id {info.get("id")} has the box '
                f'{box.tolist()} and {len(keypoints)} keypoints, the first one {num}'
            )
        path = info['img_path']  # of a video several, the person's frame first
        path = path if isinstance(path, str) else path[0]
        area = info.get('area') or (box[2:] - box[:2]).prod() * 0.53
        rows.append(
            (
                numbers.setdefault(path, len(numbers)),
                box,
                keypoints[:, :2].astype(np.float32),
                info['keypoints_visible'][0],
                float(np.max(area)),
                mask_share(info, box) if masks else np.nan,
            )
        )
    return Persons(*map(np.array, zip(*rows)))


class SiblingIndex:
    """For each sample of a dataset the other persons of its image.

    Two annotations of one person (two annotators, a double export: OKS of at least
    0.9 over the keypoints labelled in both) are nobody's siblings of each other, and
    one of them is enough as a sibling of somebody else. Held as plain arrays, so that
    forked loader workers share their memory: 30 MB for COCO's 150,000 persons.

    A person with fewer labelled keypoints than ``min_keypoints`` is nobody's sibling.
    ``sigmas`` are the constants of OKS, (K, ), or empty.

    Attributes:
        person, other (np.ndarray): int32, each sample with each of its siblings, in the
            order of the samples.
        identity (np.ndarray): For each sample the first one of the same person, (P, ).
    """

    def __init__(self, persons: Persons, min_keypoints: int, sigmas: np.ndarray):
        _, self.boxes, self.keypoints, self.visible, *_ = persons
        self.centers = (self.boxes[:, :2] + self.boxes[:, 2:]) / 2
        labelled = is_labelled(self.visible).sum(axis=1)
        candidates = np.flatnonzero(labelled >= min_keypoints)
        person, other = _pairs(persons.images, candidates)
        self.identity = _identities(persons, person, other, sigmas)

        apart = self.identity[person] != self.identity[other]
        person, other = person[apart], other[apart]
        distance = np.linalg.norm(self.centers[person] - self.centers[other], axis=1)
        order = np.lexsort([other, distance, person])
        person, other = person[order], other[order]
        pairs = person * len(self) + self.identity[other]
        _, once = np.unique(pairs, return_index=True)
        once.sort()  # of each person the nearest annotation, in order
        self.person = person[once].astype(np.int32)
        self.other = other[once].astype(np.int32)

    def __len__(self) -> int:
        return len(self.centers)

    def others(self, index: int) -> np.ndarray:
        """Which samples the S siblings are, nearest box centre first, (S,)."""
        start, end = np.searchsorted(self.person, [index, index + 1])
        return self.other[start:end]

    def siblings(self, index: int) -> dict[str, np.ndarray]:
        """Their keypoints (S, K, 2), visibility (S, K, ...) and box centres (S, 2)."""
        rows = self.others(index)
        return dict(
            keypoints=self.keypoints[rows],
            keypoints_visible=self.visible[rows],
            centers=self.centers[rows],
        )


def _pairs(images: np.ndarray, candidates: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each sample with each other candidate of its image."""
    candidates = candidates[np.argsort(images[candidates], kind='stable')]
    first = np.searchsorted(images[candidates], images, 'left')
    count = np.searchsorted(images[candidates], images, 'right') - first
    person = np.repeat(np.arange(len(images)), count)
    start = first - (np.cumsum(count) - count)
    other = candidates[np.arange(len(person)) + np.repeat(start, count)]
    differ = person != other
    return person[differ], other[differ]


def _identities(
    persons: Persons, first: np.ndarray, second: np.ndarray, sigmas: np.ndarray
) -> np.ndarray:
    """For each sample the first one of the same person, (P,)."""
    labelled, places = is_labelled(persons.visible), persons.keypoints
    num, num_keypoints = labelled.shape
    if len(sigmas) != num_keypoints:
        sigmas = np.full(num_keypoints, UNKNOWN_SIGMA)
    same = np.zeros(len(first), bool)
    for i in range(0, len(first), PAIRS_AT_ONCE):
        a, b = first[i : i + PAIRS_AT_ONCE], second[i : i + PAIRS_AT_ONCE]
        both = labelled[a] & labelled[b]
        area = (persons.areas[a] + persons.areas[b]) / 2
        # infinitely far where not labelled in both, which adds 0 to the sum
        poses = np.where(both[..., None], places[a], np.inf)
        with np.errstate(over='ignore', invalid='ignore'):
            similar = oks(poses, places[b], area, sigmas)
        shared = both.sum(axis=1)
        similar = similar * num_keypoints / np.maximum(shared, 1)
        fewer = np.minimum(labelled[a].sum(axis=1), labelled[b].sum(axis=1))
        same[i : i + PAIRS_AT_ONCE] = (similar >= SAME_OKS) & (2 * shared >= fewer)
    graph = coo_matrix((same[same], (first[same], second[same])), (num, num))
    _, identity = connected_components(graph, directed=False)
    _, start = np.unique(identity, return_index=True)
    return start[identity]
