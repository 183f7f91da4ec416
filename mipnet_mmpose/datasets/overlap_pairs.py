"""Pairs of overlapping people: one person of a photograph pasted onto another."""

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

import cv2
import numpy as np

from ..evaluation.boxes import annotated_boxes, box_iou
from .cutout import Cutout
from .masks import MIN_SHARE, mask_share, person_mask

DONORS = 60  # tried for a person
MARGIN = 3  # pixels between a donor and the border of its image
OTHERS_IOU = 0.1  # largest of somebody else's box with one of the pair
# in the names of keypoints, which are given in lower case with words joined by _
SIDES = dict(left='right', right='left', l='r', r='l')
WORDS = re.compile('[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+')
LETTER = re.compile('(?<![a-z])[lr](?![a-z])')  # a word of its own
PLACES = re.compile('left|right'), LETTER, re.compile('^[lr]')


class PairMaker:
    """Pairs of persons of one category who fit onto each other, none made twice.

    A donor is mirrored only where the names of the keypoints say which become which.

    Args:
        data (dict): annotations in COCO's format, with masks.
        folder (Path): of their images.
        iou (tuple[float, float]): least and largest IoU of the two boxes.
        min_visible (float): least share in sight of the person behind.
        min_keypoints (int): labelled ones that each of the two needs.
        min_height (int): of their boxes in pixels.
        seed (int): of all that is drawn.

    Raises:
        ValueError: where nobody can be pasted.
    """

    def __init__(
        self,
        data: dict,
        folder: Path,
        iou: tuple[float, float],
        min_visible: float,
        min_keypoints: int,
        min_height: int,
        seed: int = 0,
    ):
        self.folder, self.iou, self.min_visible = folder, iou, min_visible
        self.min_keypoints, self.min_height = min_keypoints, min_height
        self.rng = np.random.default_rng(seed)
        self.images = {image['id']: image for image in data['images']}
        self.by_image = defaultdict(list)
        for person in data['annotations']:
            self.by_image[person['image_id']].append(person)
        self.flip_indices = {
            category['id']: flip_indices(category.get('keypoints') or ())
            for category in data['categories']
        }
        self.people = [
            person
            for people in self.by_image.values()
            for person in people
            if self._fits(person)
        ]
        self.donors = defaultdict(list)
        for person in filter(self._is_whole, self.people):
            self.donors[person['category_id']].append(person)
        if not self.donors:
            raise ValueError(
                "nobody has a mask ('segmentation'), "
                f'{min_keypoints} labelled keypoints and {min_height} pixels'
            )
        self.queue = []

    def _fits(self, person):
        return (
            bool(person.get('bbox'))
            and mask_share(person, annotated_boxes([person])[0]) >= MIN_SHARE
            and sum(v > 0 for v in person.get('keypoints', ())[2::3])
            >= self.min_keypoints
            and person['bbox'][3] >= self.min_height
        )

    def _is_whole(self, person):
        """Whether the border of the image cuts nothing off."""
        image = self.images[person['image_id']]
        x, y, width, height = person['bbox']
        right, bottom = image['width'] - x - width, image['height'] - y - height
        return min(x, y, right, bottom) > MARGIN

    def make(self) -> Optional[tuple[np.ndarray, list[dict]]]:
        """A picture (H, W, 3) and its two annotations; None where nobody fits.

        Raises:
            OSError: where an image cannot be read.
        """
        failed = 0
        while failed < len(self.people):
            if not self.queue:
                self.queue = list(self.rng.permutation(len(self.people)))
            pair = self._pair_with(self.people[self.queue.pop()])
            if pair is not None:
                return pair
            failed += 1
        return None

    def _pair_with(self, person):
        image = self.images[person['image_id']]
        shape = image['height'], image['width']
        box = annotated_boxes([person])[0]
        own = person_mask(person, shape)
        donors = self.donors[person['category_id']]
        if own is None or not donors:
            return None
        neighbours = [p for p in self.by_image[person['image_id']] if p is not person]
        neighbours = annotated_boxes([p for p in neighbours if p.get('bbox')])
        for _ in range(DONORS):
            donor = donors[self.rng.integers(len(donors))]
            there = self._place(donor, box, shape, neighbours)
            if donor['image_id'] == person['image_id'] or there is None:
                continue
            factor, corner, flip = there
            indices = self.flip_indices.get(donor['category_id'])
            cutout = Cutout(_sample(donor, indices), flip and indices is not None)
            placed = cutout.place(factor, corner, shape)
            if placed is None or placed.person['num_keypoints'] < self.min_keypoints:
                continue
            behind = self.rng.random() < 0.5
            masks = np.zeros((2, *shape), bool)
            masks[0] = own
            masks[1][placed.region] = placed.alpha > 0.5
            hidden, front = masks[::-1] if behind else masks
            visible = (hidden & ~front).sum() / max(hidden.sum(), 1)
            if visible < self.min_visible:
                continue
            if behind:
                placed.alpha[own[placed.region]] = 0
            picture = self._load(person)
            if picture.shape[:2] != shape:  # as its annotations do not say
                return None
            pasted = cutout.paste(picture, self._load(donor), placed)
            if pasted is None:
                continue
            persons = [
                _annotation(_sample(person), person, own, masks[1], behind),
                _annotation(placed.person, donor, masks[1], own, not behind),
            ]
            return pasted, persons
        return None

    def _place(self, donor, box, shape, neighbours):
        """Scale, corner and flip, where the boxes overlap as asked."""
        donor_box = annotated_boxes([donor])[0]
        extent, donor_extent = box[2:] - box[:2], donor_box[2:] - donor_box[:2]
        factor = extent[1] / donor_extent[1] * np.exp(self.rng.uniform(-0.25, 0.25))
        shift = self.rng.uniform(-1, 1, 2) * (0.3, 0.15) * extent
        flip = self.rng.random() < 0.5
        corner = (box[:2] + box[2:] - donor_extent * factor) / 2 + shift
        there = np.concatenate([corner, corner + donor_extent * factor])
        inside = (there[:2] >= 0).all() and (there[2:] <= shape[::-1]).all()
        low, high = self.iou
        if not inside or factor > 1.6:
            return None
        pair = np.stack([box, there])
        if not low <= box_iou(pair[:1], pair[1:])[0, 0] <= high:
            return None
        if len(neighbours) and box_iou(pair, neighbours).max() > OTHERS_IOU:
            return None
        return factor, corner, flip

    def _load(self, person):
        name = self.images[person['image_id']]['file_name']
        path = Path(os.path.abspath(self.folder / name))
        if Path(os.path.abspath(self.folder)) not in path.parents:
            raise OSError(f'the annotations name {path}, which is not in {self.folder}')
        image = cv2.imread(str(path))
        if image is None:
            raise OSError(f'{path} cannot be read as an image')
        return image


def flip_indices(names: Sequence[str]) -> Optional[list[int]]:
    """Which keypoint each becomes in the mirror, by the sides in its name.

    Args:
        names (Sequence[str]): As people spell them: ``left_eye``, ``L_eye``, ``eye_l``,
            ``EyeLeft``, ``l-eye``, ``Left Eye``, ``leye``.

    Returns:
        list[int] | None: None where they do not say it for all: no sides, a left
        without a right, or numbers in place of sides (``face-12``).
    """
    names = ['_'.join(WORDS.findall(name)).lower() for name in names]
    if len(set(names)) < len(names):
        return None
    indices = []
    for i, name in enumerate(names):
        mirrored = [p.sub(lambda side: SIDES[side[0]], name) for p in PLACES]
        found = [names.index(m) for m in mirrored if m != name and m in names]
        if not found and re.search(f'left|right|[0-9]|{LETTER.pattern}', name):
            return None
        indices.append(found[0] if found else i)
    there_and_back = [indices[i] for i in indices]
    no_sides = indices == sorted(indices)
    if no_sides or there_and_back != sorted(indices):
        return None
    return indices


def _sample(person, flip_indices=None):
    """An annotation as a stock dataset hands it to its pipeline."""
    keypoints = np.array(person['keypoints'], np.float32).reshape(1, -1, 3)
    return dict(
        bbox=annotated_boxes([person]).astype(np.float32),
        keypoints=keypoints[..., :2],
        keypoints_visible=keypoints[..., 2],
        category_id=person['category_id'],
        segmentation=person['segmentation'],
        id=person['id'],
        flip_indices=flip_indices,
    )


def _annotation(sample, source, mask, other, in_front):
    """The annotation of a person of a pair; keypoints under the other are hidden."""
    keypoints, visible = sample['keypoints'][0], sample['keypoints_visible'][0].copy()
    share = 1.0
    if not in_front:
        height, width = mask.shape
        places = np.round(keypoints).astype(int).clip(0, (width - 1, height - 1))
        visible[(visible > 0) & other[places[:, 1], places[:, 0]]] = 1
        share = (mask & ~other).sum() / max(mask.sum(), 1)
    left, top, right, bottom = map(float, sample['bbox'][0])
    rows = np.where(visible[:, None] > 0, keypoints, 0)
    rows = np.concatenate([rows, visible[:, None]], axis=1)
    return dict(
        category_id=source['category_id'],
        iscrowd=0,
        bbox=[round(v, 2) for v in (left, top, right - left, bottom - top)],
        area=float(mask.sum()),
        num_keypoints=int((visible > 0).sum()),
        keypoints=rows.round(2).astype(float).ravel().tolist(),
        in_front=bool(in_front),
        visible_fraction=round(float(share), 3),
        source_image_id=source['image_id'],
    )
