"""Draw a data set of synthetic crowds: overlapping people, exact annotations."""

import argparse
import os
import re
import sys
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

# `mipnet` runs this file without its folder, where the package lies.
sys.path.insert(0, str(Path(__file__).resolve().parent))


def _integer(low, high, what):
    def parse(text):
        if not re.fullmatch(r'[0-9]+', text) or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(
                f'{text!r} is not {what} from {low} to {high}'
            )
        return int(text)

    return parse


def _range(number, least, most, example):
    def parse(text):
        match = re.fullmatch(r'([0-9]*\.?[0-9]+)(?:-([0-9]*\.?[0-9]+))?', text)
        try:
            low, high = (number(v or match[1]) for v in match.groups())
        except (AttributeError, ValueError):  # no match, or no whole number
            low, high = 1, 0
        if not least <= low <= high <= most:
            raise argparse.ArgumentTypeError(
                f'{text!r} is not LOW-HIGH with {least} <= LOW <= HIGH <= {most}, '
                f'such as {example}'
            )
        return low, high

    return parse


def _iou(text):
    if not re.fullmatch(r'[0-9]*\.?[0-9]+', text) or not 0 < float(text) <= 1:
        raise argparse.ArgumentTypeError(f'{text!r} is not over 0 and at most 1')
    return float(text)


def _size(text):
    match = re.fullmatch(r'([0-9]+)x([0-9]+)', text)
    width, height = (int(v) for v in match.groups()) if match else (0, 0)
    if not (64 <= width <= 2048 and 64 <= height <= 2048):
        raise argparse.ArgumentTypeError(
            f'{text!r} is not WIDTHxHEIGHT with both from 64 to 2048, such as 320x240'
        )
    return width, height


def parse_args():
    parser = argparse.ArgumentParser(
        prog='mipnet synthcrowd',
        description=__doc__,
        epilog='Writes OUT/images, OUT/annotations.json (COCO), OUT/detections.json '
        '(a simulated detector) and OUT/one_box_per_pair.json (ground-truth boxes, '
        'one for each group of overlapping people). The same arguments give the same '
        'bytes, whatever the number of workers.',
    )
    parser.add_argument('out', metavar='OUT', help='folder to write to')
    parser.add_argument(
        '--images',
        type=_integer(1, 1000000, 'a number'),
        required=True,
        metavar='N',
        help='number of pictures',
    )
    parser.add_argument(
        '--seed',
        type=_integer(0, 2**32 - 1, 'a number'),
        default=0,
        metavar='S',
        help='seed (default: 0)',
    )
    parser.add_argument(
        '--persons',
        type=_range(int, 1, 8, '1-4'),
        default=(2, 3),
        metavar='LOW-HIGH',
        help='people in a picture (default: 2-3)',
    )
    parser.add_argument(
        '--overlap',
        type=_range(float, 0, 0.95, '0.3-0.7'),
        default=(0.1, 0.8),
        metavar='LOW-HIGH',
        help='box IoU of the closest pair; 0-0 keeps people apart (default: 0.1-0.8)',
    )
    parser.add_argument(
        '--size',
        type=_size,
        default=(320, 240),
        metavar='WxH',
        help='size of a picture in pixels (default: 320x240)',
    )
    parser.add_argument(
        '--detector-nms',
        type=_iou,
        default=0.5,
        metavar='IOU',
        help="of the simulated detector's boxes; 1 keeps all (default: 0.5)",
    )
    parser.add_argument(
        '--workers',
        type=_integer(1, 256, 'a number'),
        default=min(os.cpu_count() or 1, 8),
        metavar='W',
        help='processes (default: one per core, at most 8)',
    )
    return parser.parse_args()


def main():
    args = parse_args()
    from synthcrowd import generate  # after the arguments: --help needs no OpenCV

    try:
        result = generate(
            args.out,
            args.images,
            args.seed,
            persons=args.persons,
            overlap=args.overlap,
            size=args.size,
            detector_nms=args.detector_nms,
            workers=args.workers,
        )
    except OSError as error:
        reason = error.strerror or str(error)
        sys.exit(f'cannot write to {args.out}: {reason}')
    except BrokenProcessPool:
        sys.exit('a worker process died (out of memory?); try fewer --workers')
    except KeyboardInterrupt:
        print('\ninterrupted; run the same command to start over', file=sys.stderr)
        sys.exit(130)
    if result['reused']:
        print(f'{args.out} already holds this set; nothing to do', file=sys.stderr)
    if result['missed']:
        print(
            f'{result["missed"]} of {args.images} images missed the asked overlap '
            f'{args.overlap[0]:g}-{args.overlap[1]:g}',
            file=sys.stderr,
        )
    print(os.path.join(args.out, 'annotations.json'))


if __name__ == '__main__':
    main()
