"""Draw a data set of synthetic crowds: overlapping people, exact annotations.

Writes OUT/images, OUT/annotations.json (COCO), OUT/detections.json (a simulated
detector) and OUT/one_box_per_pair.json (ground-truth boxes, one for each group of
overlapping people). The same arguments give the same bytes, whatever the number of
workers.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
# `mipnet` runs this file without its folder, where the package lies.
sys.path.insert(0, str(Path(__file__).resolve().parent))
from mipnet_command import run_tool, tool_parser


def numbers(kind, least, most, joint=None):
    """Reads a number; with a joint two of them, or one for both."""

    def parse(text):
        first, _, second = text.partition(joint or ' ')
        values = kind(first), kind(second or first)
        low, high = values if joint == '-' else sorted(values)
        if not least <= low <= high <= most:
            raise ValueError
        return values if joint else values[0]

    parse.__name__ = f'{least} to {most}'  # argparse names it
    return parse


def parse_args():
    parser = tool_parser('synthcrowd', __doc__)

    def add(name, kind, default, metavar, text):
        text = f'{text} (default: {default})' if default else text
        given = dict(default=kind(default)) if default else dict(required=True)
        parser.add_argument(name, type=kind, metavar=metavar, help=text, **given)

    parser.add_argument('out_dir', metavar='OUT', help='folder to write to')
    add('--images', numbers(int, 1, 1000000), None, 'N', 'number of pictures')
    add('--seed', numbers(int, 0, 2**32 - 1), '0', 'S', 'of all randomness')
    people = numbers(int, 1, 8, '-')
    add('--persons', people, '2-3', 'LOW-HIGH', 'people in a picture')
    overlap = 'box IoU of the closest pair; 0-0 keeps people apart'
    add('--overlap', numbers(float, 0, 0.95, '-'), '0.1-0.8', 'LOW-HIGH', overlap)
    size = numbers(int, 64, 2048, 'x')
    add('--size', size, '320x240', 'WxH', 'of a picture in pixels')
    nms = "box IoU of the simulated detector's NMS; 1 keeps all"
    add('--detector-nms', numbers(float, 0.01, 1), '0.5', 'IOU', nms)
    cores = str(min(os.cpu_count() or 1, 8))
    workers = 'processes; fewer need less memory'
    add('--workers', numbers(int, 1, 256), cores, 'W', workers)
    return parser.parse_args()


def run(args):
    from synthcrowd import generate  # after the arguments: --help needs no OpenCV

    result = generate(**vars(args))
    if result['reused']:
        print(f'{args.out_dir} already holds this set; nothing to do', file=sys.stderr)
    if result['missed']:
        missed = f'{result["missed"]} of {args.images} images missed the asked overlap'
        print(missed, '{:g}-{:g}'.format(*args.overlap), file=sys.stderr)
    print(os.path.join(args.out_dir, 'annotations.json'))


if __name__ == '__main__':
    run_tool(run, parse_args())
