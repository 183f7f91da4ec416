"""Overlapping people for training: one person of the data pasted onto another."""

import copy
from collections.abc import Sequence
from typing import NamedTuple, Optional

import numpy as np
from mmengine.dataset import BaseDataset, Compose
from mmengine.logging import print_log
from mmpose.datasets.transforms import LoadImage
from mmpose.structures.bbox import bbox_xyxy2cs

from ..evaluation.boxes import box_iou
from .cutout import OF_PERSON, Cutout, Placed, at_keypoints
from .masks import MIN_SHARE, is_of_size, person_mask
from .siblings import Persons, is_labelled

PLACEMENTS = 10  # tried for a donor


class Source(NamedTuple):
    """A stock dataset and what its samples go through before an image is loaded."""

    dataset: BaseDataset
    transforms: Sequence
    flip_indices: Optional[list[int]]  # of another dataset whose pipeline loads it


class Donors:
    """The persons of some datasets of the same keypoints who can be pasted elsewhere.

    Their samples stay in the datasets; here is which they are and how large. A donor
    has ``min_keypoints`` labelled ones, and a mask of at least a tenth of its box. No
    donor at all is a ValueError.
    """

    def __init__(
        self, sources: Sequence[Source], persons: Sequence[Persons], min_keypoints: int
    ):
        self.sources = sources
        shares = np.concatenate([p.mask_shares for p in persons])
        boxes = np.concatenate([p.boxes for p in persons])
        labelled = np.concatenate([is_labelled(p.visible).sum(axis=1) for p in persons])
        sizes = np.sqrt((boxes[:, 2:] - boxes[:, :2]).clip(0).prod(axis=1))
        samples = [(s, i) for s, p in enumerate(persons) for i in range(len(p.images))]
        order = np.argsort(sizes, kind='stable')
        fits = (shares >= MIN_SHARE) & (labelled >= min_keypoints)
        order = order[fits[order]]
        self.samples, self.sizes = np.array(samples, np.int32)[order], sizes[order]
        files = ', '.join(source.dataset.ann_file for source in sources)
        if not len(order):
            raise ValueError(
                f"paste_people: nobody in {files} has both a mask ('segmentation') and "
                f'{min_keypoints} labelled keypoints'
            )
        print_log(
            f'paste_people: {len(order)} of {len(shares)} persons in {files} can be '
            f'pasted; {(shares < MIN_SHARE).sum()} have a segmentation that is no mask '
            f'of at least {MIN_SHARE:.0%} of the box',
            'current',
        )

    def __len__(self) -> int:
        return len(self.samples)

    def draw(self, min_size: float) -> Optional[dict]:
        """A donor whose box has at least this size, in pixels, or None."""
        first = np.searchsorted(self.sizes, min_size)
        if first == len(self):
            return None
        number, index = self.samples[np.random.randint(first, len(self))]
        source = self.sources[number]
        donor = source.dataset.get_data_info(int(index))
        for transform in source.transforms:
            donor = transform(donor)
            if donor is None:
                return None
        if source.flip_indices is not None:
            donor['flip_indices'] = source.flip_indices
        return donor


class PastePeople:
    """Paste a person of another image over or behind the person of a sample.

    COCO has hardly any two people in one box, so there is little that λ ≥ 1 could
    learn from. Here a donor, cut out by its mask, is pasted into the image as soon as
    it is loaded. The donor becomes a sibling of the person; or the box becomes the
    donor's, and the person its sibling. Keypoints that get covered stay labelled,
    those of a donor that are not cut out with it do not.

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
            person without a mask, and of each sibling, share of the labelled
            keypoints. Defaults to 0.4.
        max_enlargement (float): A donor is not enlarged more. Defaults to 2.
        min_keypoints (int): A donor has this many labelled keypoints, where it is
            pasted too. Defaults to 6.

    Raises:
        ValueError: naming the setting that is out of range.
    """

    def __init__(
        self,
        prob: float = 0.5,
        behind_prob: float = 0.5,
        switch_prob: float = 0.5,
        iou: tuple[float, float] = (0.45, 0.9),
        scale: tuple[float, float] = (0.7, 1.4),
        shift: tuple[float, float] = (0.35, 0.2),
        flip_prob: float = 0.5,
        min_visible: float = 0.4,
        max_enlargement: float = 2.0,
        min_keypoints: int = 6,
    ):
        self.prob, self.behind_prob = prob, behind_prob
        self.switch_prob, self.flip_prob = switch_prob, flip_prob
        self.iou, self.scale, self.shift = iou, scale, np.array(shift)
        self.min_visible, self.min_keypoints = min_visible, min_keypoints
        self.max_enlargement = max_enlargement
        shares = ('prob', 'behind_prob', 'switch_prob', 'flip_prob', 'min_visible')
        is_right = {name: 0 <= getattr(self, name) <= 1 for name in shares}
        is_right['iou'] = 0 <= iou[0] <= iou[1] <= 1
        is_right['scale'] = 0 < scale[0] <= scale[1]
        for name in (name for name in is_right if not is_right[name]):
            raise ValueError(f'paste_people.{name} cannot be {getattr(self, name)}')
        self.donors: Optional[Donors] = None
        self.load_image: Optional[LoadImage] = None

    def insert(self, pipeline: Compose, donors: Donors) -> None:
        """Let a pipeline paste these as soon as it has loaded the image.

        Raises:
            ValueError: where it loads none.
        """
        place = find_loading(pipeline)
        if place is None:
            raise ValueError(
                'train_pipeline has no LoadImage, so there is no image that '
                'paste_people could paste into'
            )
        ready = copy.copy(self)
        ready.donors, ready.load_image = donors, pipeline.transforms[place]
        pipeline.transforms.insert(place + 1, ready)

    def __call__(self, results: dict) -> dict:
        """Paste somebody into a loaded image, or leave the sample as it is."""
        if np.random.rand() >= self.prob or not isinstance(results['img_path'], str):
            return results  # several paths are frames of a video
        size = _size(results['bbox'][0])
        donor = self.donors.draw(size * self.scale[0] / self.max_enlargement)
        if donor is None or donor['img_path'] == results['img_path'] or size < 1:
            return results
        cutout = Cutout(donor, np.random.rand() < self.flip_prob)
        placed = self._place(results, cutout)
        if placed is None:
            return results
        own = self.load_image(dict(img_path=donor['img_path']))
        image = cutout.paste(results['img'], own['img'], placed) if own else None
        if image is not None:
            results['img'] = image
            self._join(results, placed.person)
        return results

    def _place(self, results: dict, cutout: Cutout) -> Optional[Placed]:
        """Where box IoU and what stays in sight are as wanted."""
        shape = results['img'].shape[:2]
        donor_box = cutout.person['bbox'][0]
        factors, corners = self._draw_places(results['bbox'][0], donor_box, shape)
        if not len(factors):
            return None
        own = person_mask(results, shape) if is_of_size(results, shape) else None
        if own is not None and own.sum() < MIN_SHARE * _size(results['bbox'][0]) ** 2:
            own = None
        behind = own is not None and np.random.rand() < self.behind_prob
        for factor, corner in zip(factors, corners):
            placed = cutout.place(factor, corner, shape)
            if placed is None or placed.person['num_keypoints'] < self.min_keypoints:
                continue
            front, covered = placed.alpha > 0.5, results.get('siblings')
            if behind:
                placed.alpha[own[placed.region]] = 0
                seen = (placed.alpha > 0.5).sum() / front.sum()
                front = placed.alpha > 0.5
            elif own is not None:
                seen = 1 - (front & own[placed.region]).sum() / own.sum()
            else:
                seen = _keypoints_in_sight(results, front, placed.region).min()
            if covered:
                others = _keypoints_in_sight(covered, front, placed.region)
                seen = others.min(initial=seen)
            if seen >= self.min_visible and front.any():
                return placed
        return None

    def _draw_places(
        self, box: np.ndarray, donor_box: np.ndarray, shape: tuple[int, int]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Scales (P,) and corners (P, 2) at which the box IoU is as wanted."""
        extent, donor_extent = box[2:] - box[:2], donor_box[2:] - donor_box[:2]
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

    def _join(self, results: dict, pasted: dict) -> None:
        """Make the donor a sibling of the person, or the person the donor's."""
        own = {key: results[key] for key in OF_PERSON if key in results}
        visible = 'keypoints_visible'
        pasted[visible] = _in_form_of(own[visible], pasted[visible])
        if np.random.rand() < self.switch_prob:
            results.update(pasted)
            # MPII's samples have a crop already, of the former person
            for key in ('raw_ann_info', 'bbox_center', 'bbox_scale'):
                results.pop(key, None)
            pasted = own
        if 'siblings' not in results:
            return
        pasted['centers'], _ = bbox_xyxy2cs(pasted['bbox'])
        siblings = {
            key: np.concatenate([pasted[key].astype(rows.dtype), rows])
            for key, rows in results['siblings'].items()
        }
        if 'centers' in siblings:
            offset = siblings['centers'] - bbox_xyxy2cs(results['bbox'])[0]
            order = np.linalg.norm(offset, axis=1).argsort(kind='stable')
            siblings = {key: rows[order] for key, rows in siblings.items()}
        results['siblings'] = siblings


def find_loading(pipeline: Compose) -> Optional[int]:
    """Place of the transform of a pipeline that loads the image, if it has one."""
    kinds = [isinstance(t, LoadImage) for t in pipeline.transforms]
    return kinds.index(True) if any(kinds) else None


def _keypoints_in_sight(
    persons: dict, front: np.ndarray, region: tuple[slice, slice]
) -> np.ndarray:
    """Share of the labelled keypoints that no mask covers, (S,); 1 without any."""
    labelled = is_labelled(persons['keypoints_visible'])
    keypoints = persons['keypoints'] - (region[1].start, region[0].start)
    covered = at_keypoints(front, keypoints, outside=False)
    seen, num = (~covered & labelled).sum(axis=1), labelled.sum(axis=1)
    return np.where(num, seen / np.maximum(num, 1), 1)


def _in_form_of(like: np.ndarray, visible: np.ndarray) -> np.ndarray:
    """Visibility with weights beside it as ``KeypointConverter`` adds them, or not."""
    if like.ndim > visible.ndim:
        return np.stack([visible, np.ones_like(visible)], axis=-1)
    return visible if like.ndim == visible.ndim else visible[..., 0]


def _size(box: np.ndarray) -> float:
    return float(np.sqrt(max((box[2:] - box[:2]).prod(), 0)))
