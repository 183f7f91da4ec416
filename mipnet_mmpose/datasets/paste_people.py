"""Overlapping people for training: one person of the data pasted onto another."""

import copy
from typing import Dict, Optional, Sequence, Tuple

import numpy as np
from mmengine.dataset import BaseDataset, Compose
from mmpose.datasets.transforms import LoadImage

from ..evaluation.boxes import box_iou
from .cutout import OF_PERSON, Cutout, blend, cut_out
from .masks import has_mask, person_mask
from .siblings import SiblingIndex, share_array

PLACEMENTS = 10  # tried for a donor


class PastePeople:
    """Paste a person of another image over or behind the person of a sample.

    COCO has hardly any two people in one box, so there is little that λ ≥ 1 could
    learn from. Here a donor, cut out by its mask, is pasted into the image as soon as
    it is loaded. The donor becomes a sibling of the person; or the box becomes the
    donor's, and the person its sibling. Keypoints that get covered stay labelled.

    Donor, size and place are drawn from numpy's global generator, as MMPose's
    transforms do. Where no placement fits, the sample stays as it is.

    Args:
        prob (float): Share of the samples that get somebody pasted. Defaults to 0.5.
        behind_prob (float): Share of those with the donor behind the person, if the
            person has a mask. Defaults to 0.5.
        switch_prob (float): Share of those where the box becomes the donor's.
            Defaults to 0.5.
        iou (tuple[float, float]): Least and largest IoU of the two boxes.
            Defaults to (0.45, 0.9).
        scale (tuple[float, float]): Least and largest size of the donor's box, as a
            multiple of the person's (square roots of the areas).
            Defaults to (0.7, 1.4).
        shift (tuple[float, float]): Largest distance of the two box centres, in
            widths and heights of the person's box. Defaults to (0.35, 0.2).
        flip_prob (float): Share of the donors that are mirrored. Defaults to 0.5.
        min_visible (float): Least share of the one behind that stays in sight; of a
            person without a mask, share of its keypoints. Defaults to 0.4.
        max_enlargement (float): A donor is not enlarged more. Defaults to 2.
        min_keypoints (int): A donor has this many labelled keypoints. Defaults to 6.

    Raises:
        ValueError: naming the setting that is out of range.
    """

    def __init__(
        self,
        prob: float = 0.5,
        behind_prob: float = 0.5,
        switch_prob: float = 0.5,
        iou: Tuple[float, float] = (0.45, 0.9),
        scale: Tuple[float, float] = (0.7, 1.4),
        shift: Tuple[float, float] = (0.35, 0.2),
        flip_prob: float = 0.5,
        min_visible: float = 0.4,
        max_enlargement: float = 2.0,
        min_keypoints: int = 6,
    ):
        self.prob = _share('prob', prob)
        self.behind_prob = _share('behind_prob', behind_prob)
        self.switch_prob = _share('switch_prob', switch_prob)
        self.flip_prob = _share('flip_prob', flip_prob)
        self.min_visible = _share('min_visible', min_visible)
        if not 0 <= iou[0] <= iou[1] <= 1:
            raise ValueError(f'paste_people.iou must be ordered in 0 ... 1, got {iou}')
        if not 0 < scale[0] <= scale[1] or max_enlargement <= 0:
            raise ValueError(
                'paste_people.scale must be ordered and above 0, and so '
                f'max_enlargement, got {scale} and {max_enlargement}'
            )
        self.iou = iou
        self.scale = scale
        self.shift = np.array(shift)
        self.max_enlargement = max_enlargement
        self.min_keypoints = min_keypoints
        self.donors: Optional[Donors] = None
        self.index: Optional[SiblingIndex] = None

    def find_donors(self, datasets: Sequence[BaseDataset]) -> 'Donors':
        """Who can be pasted, of some top-down datasets of the same keypoints.

        Raises:
            ValueError: where nobody can.
        """
        return Donors(datasets, self.min_keypoints)

    def prepare(
        self, donors: 'Donors', index: Optional[SiblingIndex] = None
    ) -> 'PastePeople':
        """The same settings for one dataset.

        Args:
            donors (Donors): Who can be pasted.
            index (SiblingIndex, optional): Of the dataset; without one siblings are
                not wanted.
        """
        ready = copy.copy(self)
        ready.donors, ready.index = donors, index
        return ready

    def __call__(self, results: Dict) -> Dict:
        """Paste somebody into a loaded image, or leave the sample as it is."""
        if np.random.rand() >= self.prob or not isinstance(results['img_path'], str):
            return results  # several paths are frames of a video
        size = _size(results['bbox'][0])
        donor = self.donors.draw(size * self.scale[0] / self.max_enlargement)
        if donor is None or donor['img_path'] == results['img_path'] or size < 1:
            return results
        pasted = self._place(results, donor)
        if pasted is None:
            return results
        results['img'] = blend(results['img'], pasted)
        self._join(results, pasted.person)
        return results

    def _place(self, results: Dict, donor: dict) -> Optional[Cutout]:
        """The donor where box IoU and what stays in sight are as wanted."""
        height, width = results['img'].shape[:2]
        box = results['bbox'][0]
        factors, corners = self._draw_places(box, donor['bbox'][0], (height, width))
        if not len(factors):
            return None
        own = person_mask(results, (height, width))
        behind = own is not None and np.random.rand() < self.behind_prob
        flip = np.random.rand() < self.flip_prob
        picture = self.donors.load(donor)
        for factor, corner in zip(factors, corners):
            pasted = cut_out(donor, picture, factor, corner, flip, (height, width))
            if pasted is None:
                continue
            front = pasted.alpha > 0.5
            if behind:
                pasted.alpha[own[pasted.region]] = 0
                seen = (pasted.alpha > 0.5).sum() / max(front.sum(), 1)
            elif own is not None:
                seen = 1 - (front & own[pasted.region]).sum() / max(own.sum(), 1)
            else:
                seen = 1 - _covered_keypoints(results, front, pasted.region)
            if seen >= self.min_visible:
                return pasted
        return None

    def _draw_places(
        self, box: np.ndarray, donor_box: np.ndarray, shape: Tuple[int, int]
    ) -> Tuple[np.ndarray, np.ndarray]:
        """Scales (P,) and corners (P, 2) at which the box IoU is as wanted."""
        extent, donor_extent = _extent(box), _extent(donor_box)
        factors = np.exp(np.random.uniform(*np.log(self.scale), (PLACEMENTS, 1)))
        factors *= _size(box) / _size(donor_box)
        shifts = np.random.uniform(-1, 1, (PLACEMENTS, 2)) * self.shift * extent
        corners = (box[:2] + box[2:] - donor_extent * factors) / 2 + shifts
        places = np.concatenate([corners, corners + donor_extent * factors], axis=1)
        places = places.clip(0, [shape[1], shape[0]] * 2)
        ious = box_iou(places, box[None].astype(float))[:, 0]
        fits = (ious >= self.iou[0]) & (ious <= self.iou[1])
        fits &= factors[:, 0] <= self.max_enlargement
        return factors[fits, 0], corners[fits]

    def _join(self, results: Dict, pasted: dict) -> None:
        """Make the donor a sibling of the person, or the person the donor's."""
        own = {key: results[key] for key in OF_PERSON if key in results}
        if np.random.rand() < self.switch_prob:
            results.update(pasted)
            results.pop('raw_ann_info', None)
            pasted = own
        if self.index is None:
            return
        siblings = results['siblings']
        others = self.index.others(results['sample_idx'])
        centers = [*self.index.centers[others], _center(pasted['bbox'][0])]
        distance = np.linalg.norm(centers - _center(results['bbox'][0]), axis=1)
        order = np.argsort(distance, kind='stable')
        results['siblings'] = {
            key: np.concatenate([rows, pasted[key].astype(rows.dtype)])[order]
            for key, rows in siblings.items()
        }

    def __repr__(self) -> str:
        return f'PastePeople(prob={self.prob}, iou={self.iou}, donors={self.donors})'


class Donors:
    """The persons of some datasets that have a mask, to be pasted elsewhere.

    Their samples stay in the datasets; here is which they are and how large.

    Args:
        datasets (Sequence[BaseDataset]): Top-down datasets of the same keypoints.
        min_keypoints (int): A donor has this many labelled keypoints.

    Raises:
        ValueError: where there is none.
    """

    def __init__(self, datasets: Sequence[BaseDataset], min_keypoints: int):
        self.datasets = datasets
        self.load_image = find_loading(datasets[0].pipeline)
        found, sizes = [], []
        for d, dataset in enumerate(datasets):
            for i in range(len(dataset)):
                info = BaseDataset.get_data_info(dataset, i)
                labelled = (info['keypoints_visible'] > 0).sum()
                if has_mask(info) and labelled >= min_keypoints:
                    found.append((d, i))
                    sizes.append(_size(info['bbox'][0]))
        if not found:
            files = ', '.join(dataset.ann_file for dataset in datasets)
            raise ValueError(
                f"paste_people: nobody in {files} has both a mask ('segmentation') and "
                f'{min_keypoints} labelled keypoints'
            )
        order = np.argsort(sizes, kind='stable')
        self.samples = np.array(found, np.int32)[order]
        self.sizes = np.array(sizes, np.float32)[order]

    def share(self) -> None:
        """Hold in one place what all processes of this machine hold alike."""
        self.samples, self.sizes = map(share_array, (self.samples, self.sizes))

    def __len__(self) -> int:
        return len(self.samples)

    def draw(self, min_size: float) -> Optional[dict]:
        """A donor whose box has at least this size, in pixels, or None."""
        first = np.searchsorted(self.sizes, min_size)
        if first == len(self):
            return None
        dataset, index = self.samples[np.random.randint(first, len(self))]
        return self.datasets[dataset].get_data_info(int(index))

    def load(self, donor: dict) -> np.ndarray:
        """The image of a donor, as a pipeline has it."""
        return self.load_image(dict(img_path=donor['img_path']))['img']

    def __repr__(self) -> str:
        return f'Donors({len(self)} persons)'


def find_loading(pipeline: Compose) -> LoadImage:
    """The transform of a pipeline that loads the image.

    Raises:
        ValueError: where it has none.
    """
    for transform in pipeline.transforms:
        if isinstance(transform, LoadImage):
            return transform
    raise ValueError(
        'train_pipeline has no LoadImage, so there is no image that paste_people '
        'could paste into'
    )


def insert_behind_loading(pipeline: Compose, paste: PastePeople) -> None:
    """Let a pipeline paste people as soon as it has loaded the image."""
    place = pipeline.transforms.index(find_loading(pipeline)) + 1
    pipeline.transforms.insert(place, paste)


def _covered_keypoints(
    person: dict, front: np.ndarray, region: Tuple[slice, slice]
) -> float:
    """Share of the labelled keypoints (K, 2) that lie under a mask in the image."""
    visible = person['keypoints_visible'][0]
    labelled = (visible if visible.ndim == 1 else visible[:, 0]) > 0
    if not labelled.any():
        return 1.0
    place = np.array([region[1].start, region[0].start])
    columns, rows = np.round(person['keypoints'][0, labelled] - place).astype(int).T
    inside = (rows >= 0) & (rows < front.shape[0])
    inside &= (columns >= 0) & (columns < front.shape[1])
    return front[rows[inside], columns[inside]].sum() / labelled.sum()


def _center(box: np.ndarray) -> np.ndarray:
    return (box[:2] + box[2:]) / 2


def _extent(box: np.ndarray) -> np.ndarray:
    return box[2:] - box[:2]


def _size(box: np.ndarray) -> float:
    return float(np.sqrt(max(_extent(box).prod(), 0)))


def _share(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError(f'paste_people.{name} must be in 0 ... 1, got {value}')
    return value
