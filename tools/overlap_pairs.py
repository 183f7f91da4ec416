"""Make a test of overlapping pairs from photographs: one person pasted onto another.

Takes COCO-format annotations with masks, those of a test set: who is pasted, and where,
comes from that file alone, so nobody from the training images gets into the test.
Writes OUT/images, OUT/annotations.json with the two persons of each pair and nobody
else, and OUT/one_box_per_pair.json (a bbox_file of MMPose: the box of the one in
front). The same arguments give the same pairs.
"""

import argparse
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


class Help(
    argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter
):
    """Defaults behind each argument, the description as it is."""


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        prog='mipnet overlap_pairs', description=__doc__, formatter_class=Help
    )
    add = parser.add_argument
    add('ann_file', type=Path, help='COCO keypoints, with masks')
    add('images', type=Path, help='folder of its images')
    add('out', type=Path, metavar='OUT', help='folder to write to')
    add('--count', type=int, default=500, help='pairs')
    add('--iou', default='0.6-0.85', metavar='LOW-HIGH', help='of the two boxes')
    add('--min-visible', type=float, default=0.6, help='share of the one behind')
    add('--min-keypoints', type=int, default=8, help='labelled, of each')
    add('--min-height', type=int, default=64, help='of boxes, pixels')
    add('--seed', type=int, default=0, help='of all that is drawn')
    args = parser.parse_args(argv)
    try:
        low, high = map(float, args.iou.split('-'))
    except ValueError:
        low, high = 1.0, 0.0
    if not 0 <= low <= high <= 1:
        parser.error(f'--iou is LOW-HIGH, such as 0.6-0.85, not {args.iou}')
    if args.count < 1 or not 0 <= args.min_visible <= 1:
        parser.error('--count is a number from 1, --min-visible in 0 ... 1')
    args.iou = low, high
    return args


def main():
    args = parse_args()
    import cv2
    from tqdm import tqdm

    from mipnet_mmpose.datasets.overlap_pairs import PairMaker
    from mipnet_mmpose.whole_files import write_text, written_whole

    images, annotations, boxes = [], [], []
    limits = args.iou, args.min_visible, args.min_keypoints, args.min_height
    try:
        data = json.loads(args.ann_file.read_text(encoding='utf-8'))
        maker = PairMaker(data, args.images, *limits, args.seed)
        for number in tqdm(range(1, args.count + 1), desc='pairs', unit='pair'):
            pair = maker.make()
            if pair is None:
                break
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
                    box = {key: person[key] for key in ('category_id', 'bbox')}
                    boxes.append(dict(box, image_id=number, score=1.0))
    except (OSError, KeyError, ValueError) as error:
        sys.exit(f'overlap_pairs: {args.ann_file}: {type(error).__name__}: {error}')
    hint = 'nobody more fits. Widen --iou or lower --min-visible'
    if not images:
        sys.exit(f'overlap_pairs: {hint}')
    if len(images) < args.count:
        found = f'{len(images)} pairs instead of {args.count}'
        print(f'overlap_pairs: {found}: {hint}', file=sys.stderr)
    tables = dict(images=images, annotations=annotations, categories=data['categories'])
    write_text(args.out / 'one_box_per_pair.json', json.dumps(boxes))
    write_text(args.out / 'annotations.json', json.dumps(tables))
    sources = len({person['source_image_id'] for person in annotations})
    print(f'{len(images)} pairs of persons from {sources} photographs')
    print(args.out / 'annotations.json')


if __name__ == '__main__':
    main()
