"""Make a test of overlapping pairs from photographs: one person pasted onto another.

Takes COCO-format annotations with masks, those of a test set: who is pasted, and where,
comes from that file alone, so nobody from the training images gets into the test.
Writes OUT/images, OUT/annotations.json with the two persons of each pair and nobody
else, and OUT/one_box_per_pair.json (a bbox_file of MMPose: the box of the one in
front). The same arguments give the same pairs.
"""

import argparse
import json
import os
import re
import sys
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from mipnet_command import run_tool, tool_parser

DONORS = 60  # tried for a person
MARGIN = 3  # pixels between a donor and the border of its image
OTHERS_IOU = 0.1  # largest of somebody else's box with one of the pair
# in the names of keypoints, which are given in lower case with words joined by _
SIDES = dict(left='right', right='left', l='r', r='l')
WORDS = re.compile('[A-Z]?[a-z]+|[A-Z]+(?![a-z])|[0-9]+')
LETTER = re.compile('(?<![a-z])[lr](?![a-z])')  # a word of its own
PLACES = re.compile('left|right'), LETTER, re.compile('^[lr]')


def parse_args(argv=None):
    parser = tool_parser('overlap_pairs', __doc__)
    parser.formatter_class = argparse.ArgumentDefaultsHelpFormatter
    add = parser.add_argument
    add('ann_file', type=Path, help='COCO keypoints, with masks')
    add('images', type=Path, help='folder of its images')
    add('out', type=Path, metavar='OUT', help='folder to write to')
    add('--count', type=int, default=500, help='pairs')
    add('--iou', type=low_high, default='0.6-0.85', help='of the boxes, LOW-HIGH')
    add('--min-visible', type=float, default=0.6, help='share of the one behind')
    add('--min-keypoints', type=int, default=8, help='labelled, of each')
    add('--min-height', type=int, default=64, help='of boxes, pixels')
    add('--seed', type=int, default=0, help='of all that is drawn')
    return parser.parse_args(argv)


def low_high(text):
    """The two numbers of ``--iou``."""
    low, high = map(float, text.split('-'))
    if not 0 <= low <= high <= 1:
        raise ValueError(text)
    return low, high


class PairMaker:
    """Pairs of persons of one category who fit onto each other, none made twice.

    A donor is mirrored only where the names of the keypoints say which become which.
    """

    def __init__(self, data, args):
        from mipnet_mmpose.datasets.masks import MIN_SHARE, mask_share

        self.args, self.rng = args, np.random.default_rng(args.seed)
        self.images = {image['id']: image for image in data['images']}
        self.by_image = defaultdict(list)
        for person in data['annotations']:
            if person['image_id'] in self.images:
                self.by_image[person['image_id']].append(person)
        self.flips = {
            category['id']: flip_indices(category.get('keypoints') or ())
            for category in data['categories']
        }
        self.people, self.donors, self.queue = [], defaultdict(list), []
        for person in (p for people in self.by_image.values() for p in people):
            labelled = sum(v > 0 for v in person.get('keypoints', ())[2::3])
            if labelled < args.min_keypoints or not person.get('bbox'):
                continue
            left, top, right, bottom = box = corners(person)
            tall = person['bbox'][3] >= args.min_height
            if tall and mask_share(person, box) >= MIN_SHARE:
                self.people.append(person)
                # whole: the border of the image cuts nothing off
                height, width = self.shape(person)
                if min(left, top, width - right, height - bottom) > MARGIN:
                    self.donors[person['category_id']].append(person)
        if not self.donors:
            raise ValueError(
                f"{args.ann_file}: nobody has a mask ('segmentation'), "
                f'{args.min_keypoints} labelled keypoints and {args.min_height} pixels'
            )

    def shape(self, person):
        """Height and width of a person's image."""
        image = self.images[person['image_id']]
        return image['height'], image['width']

    def make(self):
        """A picture (H, W, 3) and its two annotations; None where nobody fits."""
        for _ in self.people:
            if not self.queue:
                self.queue = list(self.rng.permutation(len(self.people)))
            pair = self._pair_with(self.people[self.queue.pop()])
            if pair is not None:
                return pair
        return None

    def _pair_with(self, person):
        from mipnet_mmpose.datasets.masks import person_mask

        shape, donors = self.shape(person), self.donors[person['category_id']]
        own = person_mask(person, shape)
        if own is None or not donors:
            return None
        for _ in range(DONORS):
            donor = donors[self.rng.integers(len(donors))]
            cutout, placed = self._place(person, donor, shape)
            if placed is None:
                continue
            behind = self.rng.random() < 0.5
            pasted = np.zeros(shape, bool)
            pasted[placed.region] = placed.alpha > 0.5
            hidden, front = (pasted, own) if behind else (own, pasted)
            seen = (hidden & ~front).sum() / max(hidden.sum(), 1)
            if seen < self.args.min_visible:
                continue
            if behind:
                placed.alpha[own[placed.region]] = 0
            picture = self._load(person)
            if picture.shape[:2] != shape:  # as its annotations do not say
                return None
            picture = cutout.paste(picture, self._load(donor), placed)
            if picture is not None:
                return picture, [
                    annotation(sample(person), person, own, pasted, behind),
                    annotation(placed.person, donor, pasted, own, not behind),
                ]
        return None

    def _place(self, person, donor, shape):
        """A donor cut out and placed where the boxes overlap as asked, or None."""
        from mipnet_mmpose.datasets.cutout import Cutout
        from mipnet_mmpose.evaluation.boxes import box_iou

        box, donor_box = corners(person), corners(donor)
        extent, donor_extent = box[2:] - box[:2], donor_box[2:] - donor_box[:2]
        factor = extent[1] / donor_extent[1] * np.exp(self.rng.uniform(-0.25, 0.25))
        shift = self.rng.uniform(-1, 1, 2) * (0.3, 0.15) * extent
        flip = self.rng.random() < 0.5
        corner = (box[:2] + box[2:] - donor_extent * factor) / 2 + shift
        there = np.concatenate([corner, corner + donor_extent * factor])
        pair, (low, high) = np.stack([box, there]), self.args.iou
        others = [p for p in self.by_image[person['image_id']] if p is not person]
        others = [corners(other) for other in others if other.get('bbox')]
        fits = (
            donor['image_id'] != person['image_id']
            and (corner >= 0).all()
            and (there[2:] <= shape[::-1]).all()
            and factor <= 1.6
            and low <= box_iou(pair[:1], pair[1:])[0, 0] <= high
            and not (others and box_iou(pair, np.array(others)).max() > OTHERS_IOU)
        )
        if not fits:
            return None, None
        indices = self.flips.get(donor['category_id'])
        cutout = Cutout(sample(donor, indices), flip and indices is not None)
        placed = cutout.place(factor, corner, shape)
        if placed and placed.person['num_keypoints'] < self.args.min_keypoints:
            placed = None
        return cutout, placed

    def _load(self, person):
        folder = Path(os.path.abspath(self.args.images))
        name = self.images[person['image_id']]['file_name']
        path = Path(os.path.abspath(folder / name))
        if folder not in path.parents:
            raise OSError(f'the annotations name {path}, which is not in {folder}')
        image = cv2.imread(str(path))
        if image is None:
            raise OSError(f'{path} cannot be read as an image')
        return image


def corners(person):
    """The box of an annotation as left, top, right, bottom."""
    left, top, width, height = person['bbox']
    return np.array([left, top, left + width, top + height], float)


def flip_indices(names):
    """Which keypoint each becomes in the mirror, by the sides in its name.

    Args:
        names (Sequence[str]): As people spell them: ``left_eye``, ``L_eye``, ``eye_l``,
            ``EyeLeft``, ``l-eye``, ``Left Eye``, ``leye``.

    Returns:
        list[int] | None: None where they do not say it for all: no sides, a left
        without a right, or numbers in place of sides (``face-12``).
    """
    names = ['_'.join(WORDS.findall(name)).lower() for name in names]
    indices = []
    for i, name in enumerate(names):
        mirrored = [p.sub(lambda side: SIDES[side[0]], name) for p in PLACES]
        found = [names.index(m) for m in mirrored if m != name and m in names]
        if not found and re.search(f'left|right|[0-9]|{LETTER.pattern}', name):
            return None
        indices.append(found[0] if found else i)
    in_order = list(range(len(names)))
    there_and_back = [indices[i] for i in indices]
    return indices if indices != in_order and there_and_back == in_order else None


def sample(person, flip_indices=None):
    """An annotation as a stock dataset hands it to its pipeline."""
    keypoints = np.array(person['keypoints'], np.float32).reshape(1, -1, 3)
    return dict(
        bbox=corners(person)[None].astype(np.float32),
        keypoints=keypoints[..., :2],
        keypoints_visible=keypoints[..., 2],
        segmentation=person['segmentation'],
        flip_indices=flip_indices,
    )


def annotation(sample, source, mask, other, in_front):
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


def run(args):
    from tqdm import tqdm

    from mipnet_mmpose.whole_files import write_text, written_whole

    images, annotations = [], []
    data = json.loads(args.ann_file.read_text(encoding='utf-8'))
    lacks = {'images', 'annotations', 'categories'} - {*data}
    if lacks:
        raise ValueError(f'{args.ann_file}: no COCO file: it lacks {sorted(lacks)}')
    maker = PairMaker(data, args)
    for number in tqdm(range(1, args.count + 1), desc='pairs', unit='pair'):
        pair = maker.make()
        if pair is None:
            break
        (height, width), name = pair[0].shape[:2], f'{number:06d}.jpg'
        with written_whole(args.out / 'images' / name) as part:
            cv2.imwrite(str(part), pair[0], [cv2.IMWRITE_JPEG_QUALITY, 95])
        images.append(dict(id=number, file_name=name, width=width, height=height))
        for person in pair[1]:
            person.update(id=len(annotations) + 1, image_id=number)
            annotations.append(person)
    hint = 'nobody more fits. Widen --iou or lower --min-visible'
    if not images:
        raise ValueError(hint)
    if len(images) < args.count:
        print(f'{len(images)} pairs instead of {args.count}: {hint}', file=sys.stderr)
    keys = ('image_id', 'category_id', 'bbox')
    boxes = [
        dict({key: person[key] for key in keys}, score=1.0)
        for person in annotations
        if person['in_front']
    ]
    data = dict(images=images, annotations=annotations, categories=data['categories'])
    write_text(args.out / 'one_box_per_pair.json', json.dumps(boxes))
    write_text(args.out / 'annotations.json', json.dumps(data))
    sources = len({person['source_image_id'] for person in annotations})
    print(f'{len(images)} pairs of persons from {sources} photographs')
    print(args.out / 'annotations.json')


if __name__ == '__main__':
    run_tool(run, parse_args())
