"""Compare a MIPNet with its baseline on a test set, on one page with one figure.

Each model is tested on its config's test_dataloader, as MMPose's tools/test.py does.
The page has AP, AP50 and AR of everybody, by how much people overlap and where boxes
are withheld, and what both networks cost.

Writes DIR/report.md, report.png and report.json, and prints the path of the page.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from mipnet_command import run_tool, tool_parser


def parse_args(argv=None):
    parser = tool_parser('compare', __doc__)
    add = parser.add_argument
    two = dict(nargs=2, required=True, metavar=('CONFIG', 'CKPT'))
    add('--baseline', **two, help="CONFIG: a path or a name, of MMPose's or of ours")
    add('--mipnet', **two, help='the same of the MIPNet')
    data = 'FOLDER/annotations.json, FOLDER/images and ground-truth boxes, as mipnet '
    data += 'synthcrowd makes them (default: the test set of the configs)'
    add('--data', type=Path, metavar='FOLDER', help=data)
    boxes = "detections, COCO's results format (default: the boxes of the configs)"
    add('--boxes', type=Path, metavar='FILE', help=boxes)
    add('-o', '--out', type=Path, required=True, metavar='DIR', help='for the report')
    return parser.parse_args(argv)


def load_config(config, args):
    """A config with the test set of the arguments."""
    from mmengine.config import Config

    from mipnet_mmpose.mmpose_files import find_config

    cfg = Config.fromfile(find_config(config))
    dataset, evaluator = cfg.test_dataloader.dataset, cfg.test_evaluator
    if args.data:
        file, images = args.data / 'annotations.json', args.data / 'images'
        dataset.update(data_root='', ann_file=str(file), bbox_file=None)
        dataset.update(data_prefix=dict(img=f'{images}/'))
        (evaluator if 'type' in evaluator else evaluator[0])['ann_file'] = str(file)
    if args.boxes:
        dataset['bbox_file'] = str(args.boxes)
    return cfg


def run(args):
    from mipnet_mmpose import comparison

    models, test = {}, ''
    for name in ('baseline', 'MIPNet'):
        config, checkpoint = getattr(args, name.lower())
        cfg = load_config(config, args)
        models[name] = comparison.TestedModel(cfg, checkpoint, args.out / name)
        test += f'- {name}: `{cfg.filename}`, `{checkpoint}`\n'
    baseline, mipnet = models.values()
    if baseline.images != mipnet.images or (baseline.boxes != mipnet.boxes).any():
        raise ValueError('the configs test on different boxes: give --data or --boxes')
    networks = {name: model.model for name, model in models.items()}
    report = dict(
        overlap=comparison.by_overlap(models),
        boxes=comparison.fewer_boxes(models),
        cost=comparison.measure_cost(networks, mipnet.input_size),
    )
    (args.out / 'report.json').write_text(json.dumps(report, indent=1))
    test += f'- {len(set(mipnet.images))} images, {len(mipnet.boxes)} boxes'
    comparison.write_report(args.out, test, **report)
    print(args.out / 'report.md')


if __name__ == '__main__':
    run_tool(run, parse_args())
