"""Make a test of overlapping pairs from photographs: one person pasted onto another.

Takes COCO-format annotations with masks, those of a test set: who is pasted, and where,
comes from that file alone, so nobody from the training images gets into the test.
Writes OUT/images, OUT/annotations.json with the two persons of each pair and nobody
else, and OUT/one_box_per_pair.json (a bbox_file of MMPose: the box of the one in
front). The same arguments give the same pairs.
"""

import argparse
import json
import re
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2

from mipnet_mmpose.datasets.cutout import blend, cut_out
from mipnet_mmpose.datasets.masks import has_mask, person_mask
from mipnet_mmpose.evaluation.boxes import annotated_boxes, box_iou
from mipnet_mmpose.whole_files import write_text, written_whole

DONORS = 60  # tried for a person
MARGIN = 3  # pixels between a donor and the border of its image
OTHERS_IOU = 0.1  # largest of somebody else's box with one of the pair


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('ann_file', type=Path, help='COCO keypoints, with masks')
    parser.add_argument('images', type=Path, help='folder of its images')
    parser.add_argument('out', type=Path, metavar='OUT', help='folder to write to')
    parser.add_argument('--count', type=_count, default=500, help='default: 500')
    parser.add_argument(
        '--iou', type=_range, default=(0.6, 0.85), help='of the boxes, LOW-HIGH'
    )
    parser.add_argument(
        '--min-visible',
        type=_share,
        default=0.6,
        help='least share in sight of the one behind, default: 0.6',
    )
    parser.add_argument(
        '--min-keypoints', type=_count, default=8, help='labelled, of each; default: 8'
    )
    parser.add_argument(
        '--min-height', type=_count, default=64, help='of boxes, pixels; default: 64'
    )
    parser.add_argument('--seed', type=int, default=0)
    return parser.parse_args()


def _count(text):
    if not re.fullmatch('[1-9][0-9]*', text):
        raise argparse.ArgumentTypeError(f'{text!r} is not a number from 1')
    return int(text)


def _share(text):
    if not re.fullmatch(r'[0-9]*\.?[0-9]+', text) or not 0 <= float(text) <= 1:
        raise argparse.ArgumentTypeError(f'{text!r} is not in 0 ... 1')
    return float(text)


def _range(text):
    low, _, high = text.partition('-')
    if not _share(low) <= _share(high or low):
        raise argparse.ArgumentTypeError(f'{text!r} is not LOW-HIGH, such as 0.6-0.85')
    return _share(low), _share(high or low)


def main():
    args = parse_args()
    try:
        data = json.loads(args.ann_file.read_text(encoding='utf-8'))
        maker = PairMaker(args, data)
    except (OSError, KeyError, ValueError) as error:
        sys.exit(f'overlap_pairs: {args.ann_file}: {type(error).__name__}: {error}')
    images, annotations, boxes = [], [], []
    for _ in tqdm(range(args.count), desc='pairs', unit='pair'):
        pair = maker.make()
        if pair is None:
            print(
                f'overlap_pairs: {len(images)} pairs instead of {args.count}: nobody '
                'more fits. Widen --iou or lower --min-visible',
                file=sys.stderr,
            )
            break
        number = len(images) + 1
        image, persons = pair
        name = f'{number:06d}.jpg'
        with written_whole(args.out / 'images' / name) as part:
            cv2.imwrite(str(part), image, [cv2.IMWRITE_JPEG_QUALITY, 95])
        height, width = image.shape[:2]
        images.append(dict(id=number, file_name=name, width=width, height=height))
        for person in persons:
            person.update(id=len(annotations) + 1, image_id=number)
            annotations.append(person)
            if person['in_front']:
                box = dict(image_id=number, category_id=person['category_id'])
                boxes.append(dict(box, bbox=person['bbox'], score=1.0))
    if not images:
        sys.exit(1)
    tables = dict(images=images, annotations=annotations, categories=data['categories'])
    write_text(args.out / 'one_box_per_pair.json', json.dumps(boxes))
    write_text(args.out / 'annotations.json', json.dumps(tables))
    sources = len({person['source_image_id'] for person in annotations})
    print(f'{len(images)} pairs of persons from {sources} photographs')
    print(args.out / 'annotations.json')


class PairMaker:
    """Pairs of persons who fit onto each other, none of them made twice.

    Args:
        args (argparse.Namespace): As parsed.
        data (dict): Annotations in COCO's format.
    """

    def __init__(self, args, data):
        self.args = args
        self.rng = np.random.default_rng(args.seed)
        self.images = {image['id']: image for image in data['images']}
        self.by_image = defaultdict(list)
        for person in data['annotations']:
            self.by_image[person['image_id']].append(person)
        self.flip_indices = _flip_indices(data['categories'][0]['keypoints'])
        self.people = [
            person
            for people in self.by_image.values()
            for person in people
            if self._fits(person)
        ]
        self.donors = [person for person in self.people if self._is_whole(person)]
        if not self.donors:
            raise ValueError(
                "nobody has a mask ('segmentation'), "
                f'{args.min_keypoints} labelled keypoints and {args.min_height} pixels'
            )
        self.queue = []

    def _fits(self, person):
        return (
            has_mask(person)
            and sum(v > 0 for v in person['keypoints'][2::3]) >= self.args.min_keypoints
            and person['bbox'][3] >= self.args.min_height
        )

    def _is_whole(self, person):
        """Whether the border of the image cuts nothing off."""
        image = self.images[person['image_id']]
        x, y, width, height = person['bbox']
        right, bottom = image['width'] - x - width, image['height'] - y - height
        return min(x, y, right, bottom) > MARGIN

    def make(self):
        """A picture and its two annotations, or None where all people were tried."""
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
        neighbours = [p for p in self.by_image[person['image_id']] if p is not person]
        neighbours = annotated_boxes(neighbours)
        for _ in range(DONORS):
            donor = self.donors[self.rng.integers(len(self.donors))]
            placed = self._place(donor, box, shape, neighbours)
            if donor['image_id'] == person['image_id'] or placed is None:
                continue
            factor, corner, flip = placed
            flip = flip and self.flip_indices is not None
            sample = _sample(donor, self.flip_indices)
            cutout = cut_out(sample, self._load(donor), factor, corner, flip, shape)
            behind = self.rng.random() < 0.5
            masks = np.zeros((2, *shape), bool)
            masks[0] = own
            masks[1][cutout.region] = cutout.alpha > 0.5
            hidden, front = masks[::-1] if behind else masks
            visible = (hidden & ~front).sum() / max(hidden.sum(), 1)
            if visible < self.args.min_visible:
                continue
            if behind:
                cutout.alpha[own[cutout.region]] = 0
            picture = blend(self._load(person), cutout)
            persons = [
                _annotation(_sample(person), person, own, masks[1], behind),
                _annotation(cutout.person, donor, masks[1], own, not behind),
            ]
            return picture, persons
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
        low, high = self.args.iou
        if not inside or factor > 1.6:
            return None
        pair = np.stack([box, there])
        if not low <= box_iou(pair[:1], pair[1:])[0, 0] <= high:
            return None
        if len(neighbours) and box_iou(pair, neighbours).max() > OTHERS_IOU:
            return None
        return factor, corner, flip

    def _load(self, person):
        path = self.args.images / self.images[person['image_id']]['file_name']
        image = cv2.imread(str(path))
        if image is None:
            sys.exit(f'overlap_pairs: {path} cannot be read as an image')
        return image


def _flip_indices(names):
    """Which keypoint each becomes in the mirror, by its name; None without names."""
    mirrored = [
        name.replace('left', '*').replace('right', 'left').replace('*', 'right')
        for name in names
    ]
    if not set(mirrored) <= set(names):
        return None
    return [names.index(name) for name in mirrored]


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


if __name__ == '__main__':
    main()
