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
from pathlib import Path

from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2

from mipnet_mmpose.datasets.overlap_pairs import PairMaker
from mipnet_mmpose.whole_files import write_text, written_whole


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
        maker = PairMaker(
            data,
            args.images,
            args.iou,
            args.min_visible,
            args.min_keypoints,
            args.min_height,
            args.seed,
        )
    except (OSError, KeyError, ValueError) as error:
        sys.exit(f'overlap_pairs: {args.ann_file}: {type(error).__name__}: {error}')
    images, annotations, boxes = [], [], []
    for _ in tqdm(range(args.count), desc='pairs', unit='pair'):
        try:
            pair = maker.make()
        except OSError as error:
            sys.exit(f'overlap_pairs: {error}')
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


if __name__ == '__main__':
    main()
