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
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mmengine.config import Config, DictAction

from mipnet_mmpose.comparison import (
    CompareError,
    People,
    TestedModel,
    check_comparable,
    check_figures,
    differing_people,
    draw_crops,
    evaluators,
    measure_cost,
    plot_bins,
    plot_curves,
    tabulate,
    withhold_boxes,
    write_report,
)
from mipnet_mmpose.whole_files import write_text


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


def load_config(name, config, checkpoint, args):
    """A config whose test set is the one asked for."""
    for path in (config, checkpoint):
        if not path.is_file():
            raise CompareError(f'--{name}: {path} does not exist')
    cfg = Config.fromfile(config)
    dataset = cfg.test_dataloader.dataset
    while 'dataset' in dataset:
        dataset = dataset.dataset
    if args.data:
        ann_file, images = args.data / 'annotations.json', args.data / 'images'
        for path in (ann_file, images):
            if not path.exists():
                raise CompareError(f'--data: {path} does not exist')
        dataset.update(
            data_root='',
            ann_file=str(ann_file),
            data_prefix=dict(img=f'{images}/'),
            bbox_file=None,
        )
        for evaluator in evaluators(cfg):
            if 'ann_file' in evaluator:
                evaluator['ann_file'] = str(ann_file)
    if args.boxes:
        if not args.boxes.is_file():
            raise CompareError(f'--boxes: {args.boxes} does not exist')
        dataset.bbox_file = str(args.boxes)
    cfg.merge_from_dict(args.cfg_options)
    cfg.load_from, cfg.resume = str(checkpoint), False
    cfg.work_dir = str(args.out / 'logs' / name)
    return cfg


def compare(args):
    """Test both models, compute the report and write it; its path."""
    out = args.out = args.out.resolve()
    (out / 'predictions').mkdir(parents=True, exist_ok=True)
    paths = {'baseline': args.baseline, 'MIPNet': args.mipnet}
    configs = {n: load_config(n.lower(), *p, args) for n, p in paths.items()}
    models = {
        name: TestedModel(name.lower(), cfg, out / 'predictions')
        for name, cfg in configs.items()
    }
    check_comparable(models['baseline'], models['MIPNet'])
    mipnet = models['MIPNet']
    people = People(mipnet.metric)
    owners = people.owners(mipnet.images, mipnet.boxes)
    print('evaluating', flush=True)
    tables = tabulate(people, models, owners)
    check_figures(tables['all']['all'], models)
    dataset = configs['MIPNet'].test_dataloader.dataset
    test = dict(
        models={
            name: dict(config=str(c), checkpoint=str(p), figures=models[name].figures)
            for name, (c, p) in paths.items()
        },
        ann_file=str(mipnet.metric.ann_file or dataset.get('ann_file')),
        images=len(people.by_image),
        boxes=len(mipnet.images),
        box_source=dataset.get('bbox_file') or 'ground truth',
    )
    report = dict(
        test=test,
        tables=tables,
        curves=withhold_boxes(people, models, owners),
        cost=measure_cost(models),
        crops=differing_people(people, models),
    )
    plot_bins(out / 'overlap.png', tables['overlap'], 'box IoU with another person')
    plot_bins(out / 'crowding.png', tables['crowding'], 'crowd index of the image')
    plot_curves(out / 'boxes.png', report['curves'])
    if report['crops']:
        draw_crops(out / 'crops.png', people, models, report['crops'])
    text = json.dumps(report, indent=1, ensure_ascii=False)
    write_text(out / 'report.json', text + '\n')
    write_report(out / 'report.md', report)
    return out / 'report.md'


def main(argv=None):
    args = parse_args(argv)
    try:
        path = compare(args)
    except CompareError as error:
        sys.exit(f'error: {error}')
    print(path)


if __name__ == '__main__':
    main()
