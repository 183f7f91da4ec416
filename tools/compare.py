"""Compare a MIPNet with its baseline on a test set: figures, curves and crops.

Each model predicts once for every box of its config's test_dataloader, as MMPose's
tools/test.py would; everything in the report is computed from these predictions. It
has AP, AP50, AP75 and AR of both, by how much people overlap and by how crowded the
images are, of each lambda alone and of the best lambda of each box; what is left as
boxes are withheld; the cost of both networks; and the crops where they differ most.
docs/compare.md says how each figure is made.

Writes DIR/report.md, report.json, *.png and predictions/*.pkl, and prints the path of
report.md.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmengine.config import DictAction

from mipnet_mmpose.comparison import CompareError, compare_models


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ('baseline', 'mipnet'):
        parser.add_argument(
            f'--{name}',
            type=Path,
            nargs=2,
            required=True,
            metavar=('CONFIG', 'CKPT'),
        )
    parser.add_argument(
        '--data',
        type=Path,
        metavar='FOLDER',
        help='with annotations.json and images/, as tools/synthcrowd.py writes it, in '
        'place of the test set of the configs; ground-truth boxes',
    )
    parser.add_argument(
        '--boxes',
        type=Path,
        metavar='FILE',
        help="detected boxes (COCO's results format) in place of those of the configs",
    )
    parser.add_argument('-o', '--out', type=Path, required=True, metavar='DIR')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        help='override settings of both configs, key=value',
    )
    return parser.parse_args(argv)


def main(argv=None):
    args = parse_args(argv)
    paths = {'baseline': args.baseline, 'MIPNet': args.mipnet}
    try:
        path = compare_models(paths, args.out, args.data, args.boxes, args.cfg_options)
    except CompareError as error:
        sys.exit(f'error: {error}')
    print(path)


if __name__ == '__main__':
    main()
