"""Does MIPNet gain where people overlap, and lose nothing elsewhere?

Trains a baseline with MMPose's tools/train.py on a synthetic crowd and goes on from it,
with the baseline and with MIPNets. The crowd to learn from is like COCO: people are
apart or touch, and hardly ever overlap by more than half. Tests each on pairs who are
apart, touch, overlap: with ground-truth boxes, with simulated detections, and with
detections thinned by box NMS. Every run is one line of OUT/runs.jsonl. What is there
is not run again; a training that was interrupted goes on from its last epoch. Prints
tables and writes them to OUT/tables.md, plots beside them.
"""

import argparse
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from threading import Event

import numpy as np
from mmengine import load
from mmengine.config import Config
from model_zoo import fill_tables
from quickstart import mmpose_tool
from stock_configs import read_lines, table
from tqdm import tqdm

from mipnet_mmpose.comparison import People, TestedModel
from mipnet_mmpose.comparison.figures import evaluate, similarity, suppress_boxes
from mipnet_mmpose.comparison.tested_model import rows_by_key
from mipnet_mmpose.evaluation.boxes import annotated_boxes, box_iou
from mipnet_mmpose.evaluation.oks import oks
from mipnet_mmpose.whole_files import write_text, written_whole

REPO = Path(__file__).resolve().parents[1]
CONFIGS = REPO / 'configs' / 'synthcrowd'
NETWORKS = {
    'small': 'res18-small_8e_synthcrowd-128x96.py',
    'hrnet-w32': 'hrnet-w32_8xb64-20e_synthcrowd-256x192.py',
}
PREFIXES = dict(baseline='td-hm_', neck='td-hm_mipnet-neck-', backbone='td-hm_mipnet-')
# box IoU of the closest pair; of COCO's people one in a hundred exceeds 0.5
STRENGTHS = {'apart': (0, 0), 'touching': (0.1, 0.5), 'overlapped': (0.6, 0.85)}
OVERLAPS = dict(train=(0, 0.5), **STRENGTHS, crowded=(0.3, 0.85))
TRUTH, BOXES = 'ground truth', 'detections'
METRICS = ('AP', 'AP50', 'AR')
NMS_THRESHOLDS = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
DECAYS = (0.25, 0.5, 0.75, 1.0)
OKS_THRESHOLDS = (0.9, 0.8, 0.7, 0.6, 0.5)
LONGER = 5 / 3  # a step of MIPNet takes 1.5 times as long, data included
FOUND = 0.5  # least OKS


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--out', type=Path, default=Path('work_dirs/study'))
    parser.add_argument('--network', choices=NETWORKS, default='small')
    parser.add_argument('--runs', nargs='+', metavar='NAME', help='default: all')
    parser.add_argument('--seeds', type=int, default=3, help='of the main runs')
    parser.add_argument('--images', type=int, default=2400, help='to train on')
    parser.add_argument('--test-images', type=int, default=500, help='of each strength')
    parser.add_argument(
        '--pretraining', type=int, default=9, help='epochs of the baseline before'
    )
    parser.add_argument('--epochs', type=int, default=3, help='of each run after it')
    parser.add_argument(
        '--crowded-epochs', type=int, default=5, help='of the runs on a denser crowd'
    )
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    parser.add_argument(
        '--workers', type=int, default=1, help='runs at a time, one thread each'
    )
    parser.add_argument(
        '--doc',
        type=Path,
        help='Markdown file with places for the tables; plots beside it',
    )
    parser.add_argument('--test', metavar='RUN', help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.out = args.out.resolve()
    return args


# ---------------------------------------------------------------------------- the runs


def planned_runs(args):
    """What is trained, by name: kind, epochs, seed, N, and the run it starts from."""
    runs = {}

    def add(name, kind, epochs, seed=0, start='pretrained', **more):
        epochs = max(round(epochs), 1)
        runs[name] = dict(kind=kind, epochs=epochs, seed=seed, start=start, **more)

    add('pretrained', 'baseline', args.pretraining, start=None)
    for seed in range(args.seeds):
        for kind in PREFIXES:
            add(f'{kind}-{seed}', kind, args.epochs, seed)
        add(f'longer-{seed}', 'baseline', LONGER * args.epochs, seed)
    for seed in range(args.seeds):
        for kind in ('baseline', 'backbone'):
            name = f'crowded-{kind}-{seed}'
            add(name, kind, args.crowded_epochs, seed, data='crowded')
    for num in (1, 3):
        add(f'N{num}-0', 'backbone', args.epochs, num_instances=num)
    # as long as the pretraining and MIPNet after it
    epochs = args.pretraining / 1.5 + args.epochs
    add('scratch-0', 'backbone', epochs, start=None)
    return runs


def check_settings(args):
    """Stop where OUT has runs of other settings, which its results would mix."""
    names = ['network', 'images', 'test_images', 'pretraining', 'epochs', 'device']
    names.append('crowded_epochs')
    settings = {name: getattr(args, name) for name in names}
    path = args.out / 'settings.json'
    if path.exists():
        for name, value in json.loads(path.read_text()).items():
            if settings[name] != value:
                option = name.replace('_', '-')
                sys.exit(f'study: --out {args.out} has runs of --{option} {value}')
    write_text(path, json.dumps(settings))


def make_data(args):
    """The training set and a test set of each strength."""
    for seed, (name, overlap) in enumerate(OVERLAPS.items()):
        command = [REPO / 'tools' / 'synthcrowd.py', args.out / 'data' / name]
        tested = name in STRENGTHS
        command += ['--images', args.test_images if tested else args.images]
        command += ['--seed', seed, '--overlap', '-'.join(map(str, overlap))]
        if tested:
            command += ['--persons', 2]
        command += ['--detector-nms', 1, '--workers', os.cpu_count()]
        execute(command, args.out / f'{name}.log')


def run_config(args, run, name):
    """The config of a run."""
    cfg = Config.fromfile(CONFIGS / (PREFIXES[run['kind']] + NETWORKS[args.network]))
    set_num_instances(cfg, run.get('num_instances', 2))
    stock_dataset(cfg.train_dataloader).update(
        data_root=f'{args.out}/data/{run.get("data", "train")}/',
        ann_file='annotations.json',
        data_prefix=dict(img='images/'),
    )
    cfg.train_cfg.max_epochs = run['epochs']
    for scheduler in cfg.param_scheduler:
        if scheduler.get('by_epoch', True):
            # the pretraining leaves it to the runs after it to end at a low rate
            scheduler.end = round(run['epochs'] * (1.5 if name == 'pretrained' else 1))
    cfg.default_hooks.checkpoint = dict(
        type='CheckpointHook', interval=1, max_keep_ckpts=2
    )
    cfg.randomness = dict(seed=run['seed'])
    cfg.model.test_cfg.flip_test = False  # half the time of a test
    if run['start']:
        cfg.load_from = str(checkpoint(args, run['start']))
        cfg.optim_wrapper.optimizer.lr /= 2
    cfg.work_dir = str(args.out / name)
    return cfg


def stock_dataset(dataloader):
    """The config of the dataset that may be wrapped."""
    dataset = dataloader.dataset
    while 'dataset' in dataset:
        dataset = dataset.dataset
    return dataset


def set_num_instances(tree, num):
    """Another N, wherever a config has one."""
    if isinstance(tree, (list, tuple)):
        tree = dict(enumerate(tree))
    for key, value in tree.items():
        if key == 'num_instances':
            tree[key] = num
        elif isinstance(value, (dict, list, tuple)):
            set_num_instances(value, num)


def checkpoint(args, name):
    """The last checkpoint of a run."""
    epochs = planned_runs(args)[name]['epochs']
    return args.out / name / f'epoch_{epochs}.pth'


def write_config(args, name):
    """The config of a run's training, in its folder."""
    cfg = run_config(args, planned_runs(args)[name], name)
    if args.device == 'cuda':
        cfg.optim_wrapper.update(type='AmpOptimWrapper', dtype='bfloat16')
    folder = args.out / name
    folder.mkdir(parents=True, exist_ok=True)
    cfg.dump(folder / 'config.py')


def train(args, name):
    """Train with MMPose's tool unless that has been done."""
    if not checkpoint(args, name).exists():
        folder = args.out / name
        command = [mmpose_tool('train.py'), folder / 'config.py', '--work-dir', folder]
        command.append('--no-validate')
        if (folder / 'last_checkpoint').exists():
            command.append('--resume')  # it would ignore load_from
        execute(command, folder / 'train.log')


def execute(command, log):
    """Run a Python script on one thread, its output in a file."""
    tools = [str(REPO), str(REPO / 'tools'), os.environ.get('PYTHONPATH')]
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(filter(None, tools)))
    with log.open('w') as stream:
        command = [sys.executable, *map(str, command)]
        status = subprocess.call(
            command, stdout=stream, stderr=stream, env=dict(env, OMP_NUM_THREADS='1')
        )
    if status:
        raise RuntimeError(f'{command[1]} failed, see {log}')


# ------------------------------------------------------------------------- the figures


def test(args, name):
    """All figures of a trained run."""
    run = planned_runs(args)[name]
    result = dict(run=name, **run)
    for strength in STRENGTHS:
        data = args.out / 'data' / strength
        result[strength] = {}
        for boxes in (TRUTH, BOXES):
            cfg = run_config(args, run, name)
            ann_file = str(data / 'annotations.json')
            stock_dataset(cfg.test_dataloader).update(
                data_root='',
                ann_file=ann_file,
                data_prefix=dict(img=f'{data}/images/'),
                bbox_file=str(data / 'detections.json') * (boxes == BOXES) or None,
            )
            cfg.test_evaluator.ann_file = ann_file
            cfg.load_from, cfg.resume = str(checkpoint(args, name)), False
            result[strength][boxes] = figures_of(args, name, cfg, boxes)
    return result


def figures_of(args, name, cfg, boxes):
    """Figures on one test set: of all boxes, thinned, with other decays."""
    model = TestedModel(name, cfg, args.out / name)
    people = People(model.metric)
    owners = people.owners(model.images, model.boxes)

    def figures(**which):
        return evaluate(people, model, model.results(**which), owners)

    result = dict(boxes=len(owners), **figures())
    num = len(model.lambdas)
    if boxes == BOXES:
        result['thinned'] = []
        for threshold in NMS_THRESHOLDS:
            kept = suppress_boxes(model, threshold)
            point = dict(threshold=threshold, boxes=int(kept.sum()))
            result['thinned'].append(dict(point, **figures(kept=kept)))
        return result

    def sweep(setting, values):
        """Figures with other values of a setting of the metric."""
        used = getattr(model.metric, setting)
        points = []
        for value in values:
            setattr(model.metric, setting, value)
            points.append({setting: value, **figures()})
        setattr(model.metric, setting, used)
        return points

    result['merged'] = sweep('nms_thr', OKS_THRESHOLDS)
    if num > 1:
        result['alone'] = [figures(choice=np.full(len(owners), i)) for i in range(num)]
        result['decay'] = sweep('score_decay', DECAYS)
    result['found'] = who_found_whom(people, model, owners)
    return result


def who_found_whom(people, model, owners):
    """People by the first pose, in the order of the keys, with enough OKS."""
    counts = dict.fromkeys(
        ['own box, λ = 0', 'own box, λ ≥ 1', 'other box, λ = 0', 'other box, λ ≥ 1'], 0
    )
    counts['nobody'] = 0
    boxes_of = {ann['id']: box for box, ann in enumerate(owners) if ann}
    by_image = rows_by_key(model.images)
    for ann in people.sought():
        boxes = by_image[ann['image_id']]
        found = similarity(model.keypoints[boxes], ann, model) >= FOUND  # (boxes, N)
        own = boxes == boxes_of.get(ann['id'])
        hits = [
            found[own, :1],
            found[own, 1:],
            found[~own, :1],
            found[~own, 1:],
            np.ones(1),
        ]
        first = next(key for key, hit in zip(counts, hits) if hit.any())
        counts[first] += 1
    return counts


def whom_boxes_answer(args, name):
    """Whom the pose of λ = 0 is, and λ = 1, of the detected boxes of overlapped pairs.

    From the poses that the last test of a run left. A pose is a person's from an OKS of
    0.5 on, of two the more similar one's; boxes with no person at IoU 0.6 are left out.

    Returns:
        list[float] | None: shares of the boxes: λ = 0 is the box's person, the other
        one, neither; λ = 1 is the other one, the box's person (0 for a baseline).
    """
    file = args.out / name / f'{name}.pkl'
    if not file.exists():
        return None
    content = json.loads(
        (args.out / 'data' / 'overlapped' / 'annotations.json').read_text()
    )
    pairs = {}
    for ann in content['annotations']:
        pairs.setdefault(ann['image_id'], []).append(ann)
    found = []
    for sample in load(file):
        poses, pair = sample['pred_instances'], pairs[sample['img_id']]
        ious = box_iou(poses['bboxes'][:1], annotated_boxes(pair))[0]
        if len(pair) < 2 or ious.max() < 0.6:
            continue
        pair = sorted(pair, key=lambda ann: ious[pair.index(ann)], reverse=True)
        alike = np.array([labelled_oks(poses['keypoints'], ann) for ann in pair])
        hits = (alike >= FOUND) & (alike == alike.max(axis=0))
        own, other = np.where(hits, 1.0, 0.0)
        second = [other[1], own[1]] if len(own) > 1 else [0.0, 0.0]
        found.append([own[0], other[0], 1 - own[0] - other[0], *second])
    return np.mean(found, axis=0).tolist()


def labelled_oks(poses, ann):
    """COCO's OKS of poses (N, 17, 2) with an annotated person, (N,)."""
    truth = np.reshape(ann['keypoints'], (17, 3))
    return oks(np.asarray(poses), truth[:, :2], ann['area'], labelled=truth[:, 2] > 0)


# -------------------------------------------------------------------------- the tables


def spread(values):
    """Mean and standard deviation over the seeds, in per cent."""
    values = 100 * np.array(values)
    text = f'{values.mean():.1f}'
    return f'{text} ± {values.std(ddof=1):.1f}' if len(values) > 1 else text


def kinds_of(results):
    """Results by the name of their run without the seed."""
    kinds = {}
    for name, result in sorted(results.items()):
        kinds.setdefault(name.rsplit('-', 1)[0], []).append(result)
    order = {name.rsplit('-', 1)[0]: None for name in results}
    return {kind: kinds[kind] for kind in order}


def tables(results):
    """Everything as Markdown, by title."""
    kinds = kinds_of(results)
    several = {k: g for k, g in kinds.items() if 'decay' in g[0]['apart'][TRUTH]}

    def lay_out(header, cells, kinds=kinds):
        rows = [
            [strength, kind, *cells([result[strength] for result in group])]
            for strength in STRENGTHS
            for kind, group in kinds.items()
        ]
        return table(['people', 'run', *header], rows)

    def points(group, boxes, what):
        """AP at each point of a curve."""
        curves = [[point['AP'] for point in result[boxes][what]] for result in group]
        return [spread(values) for values in zip(*curves)]

    def thinned(group):
        curves = [result[BOXES]['thinned'] for result in group]
        drop = spread([curve[0]['AP'] - curve[-1]['AP'] for curve in curves])
        return [*points(group, BOXES, 'thinned'), drop]

    def found(group):
        counts = [result[TRUTH]['found'] for result in group]
        return [spread([c[key] / sum(c.values()) for c in counts]) for key in counts[0]]

    def overall(group):
        return [len(group)] + [
            spread([result[boxes][key] for result in group])
            for boxes in (TRUTH, BOXES)
            for key in METRICS
        ]

    first = next(iter(kinds.values()))[0]['apart'][TRUTH]
    texts = {
        'all': lay_out(
            ['seeds', *METRICS, *(f'{key}, detections' for key in METRICS)], overall
        ),
        'thinned': lay_out([*(f'NMS {t}' for t in NMS_THRESHOLDS), 'drop'], thinned),
        'who': lay_out(first['found'], found),
        'merged': lay_out(
            [f'OKS {threshold}' for threshold in OKS_THRESHOLDS],
            lambda group: points(group, TRUTH, 'merged'),
        ),
    }
    if several:
        texts['decay'] = lay_out(
            [f'decay {decay}' for decay in DECAYS],
            lambda group: points(group, TRUTH, 'decay'),
            several,
        )
        texts['alone'] = lay_out(
            ['λ = 0', 'λ = 1', 'λ = 2'],
            lambda group: (points(group, TRUTH, 'alone') + ['', ''])[:3],
            several,
        )
    return texts


def answers_table(args, results):
    """Whom the boxes of overlapped pairs answer, in per cent, over the seeds."""
    rows = []
    for kind, group in kinds_of(results).items():
        shares = [whom_boxes_answer(args, result['run']) for result in group]
        shares = [share for share in shares if share]
        if shares:
            rows.append([kind, len(shares), *map(spread, zip(*shares))])
    first = ['own person', 'other person', 'neither']
    header = ['run', 'seeds', *(f'λ = 0: {who}' for who in first)]
    return table([*header, 'λ = 1: other person', 'λ = 1: own person'], rows)


# --------------------------------------------------------------------------- the plots

STYLES = {  # of the runs in the plots: label, colour, line
    'baseline': ('baseline', '#9a9a9a', '-'),
    'longer': ('baseline, 5/3 × passes', '#c8b98a', '-'),
    'neck': ('MIMBNeck', '#5b9bd5', '-'),
    'backbone': ('MIMBBackbone', '#202020', '-'),
    'crowded-baseline': ('baseline, denser crowd', '#9a9a9a', '--'),
    'crowded-backbone': ('MIMBBackbone, denser crowd', '#202020', '--'),
}


def plot_overlap(path, results):
    """AP with ground-truth boxes by how much people overlap."""
    from matplotlib import pyplot

    kinds = {k: v for k, v in kinds_of(results).items() if k in STYLES}
    figure, axes = pyplot.subplots(figsize=(9, 3.8), layout='constrained')
    width = 0.84 / len(kinds)
    for i, (kind, group) in enumerate(kinds.items()):
        values = 100 * np.array([[r[s][TRUTH]['AP'] for r in group] for s in STRENGTHS])
        places = np.arange(len(STRENGTHS)) + (i - (len(kinds) - 1) / 2) * width
        bars = axes.bar(
            places,
            values.mean(axis=1),
            width * 0.92,
            yerr=values.std(axis=1, ddof=1) if len(group) > 1 else None,
            color=STYLES[kind][1],
            label=STYLES[kind][0],
            hatch='//' if STYLES[kind][2] == '--' else None,
            edgecolor='white',
            capsize=2,
            ecolor='#666666',
        )
        axes.bar_label(bars, fmt='%.1f', padding=2, fontsize=8)
    axes.set_xticks(np.arange(len(STRENGTHS)), STRENGTHS)
    axes.set(ylabel='AP, ground-truth boxes')
    axes.spines[['top', 'right']].set_visible(False)
    figure.legend(loc='outside upper center', ncols=3, frameon=False)
    with written_whole(path) as part:
        figure.savefig(part, dpi=110)
    pyplot.close(figure)


def plot_thinned(path, results):
    """AP of the detections that are left by box NMS."""
    from matplotlib import pyplot

    kinds = {k: v for k, v in kinds_of(results).items() if k in STYLES}
    figure, grid = pyplot.subplots(1, 3, figsize=(9, 3.6), layout='constrained')
    for axes, strength in zip(grid, STRENGTHS):
        for kind, group in kinds.items():
            values = 100 * np.array(
                [
                    [point['AP'] for point in r[strength][BOXES]['thinned']]
                    for r in group
                ]
            )
            label, color, line = STYLES[kind]
            style = dict(color=color, marker='o', markersize=4, linewidth=2)
            style['linestyle'] = line
            label = label if strength == 'apart' else None
            axes.plot(NMS_THRESHOLDS, values.mean(axis=0), label=label, **style)
        axes.invert_xaxis()
        axes.set(title=strength, xlabel='IoU of box NMS (stricter to the right)')
        axes.set_ylim(0, 1.08 * axes.dataLim.y1)
        axes.grid(alpha=0.3)
        axes.spines[['top', 'right']].set_visible(False)
    grid[0].set_ylabel('AP, detections')
    figure.legend(loc='outside upper center', ncols=3, frameon=False)
    with written_whole(path) as part:
        figure.savefig(part, dpi=110)
    pyplot.close(figure)


# --------------------------------------------------------------------------- running


def run_one(args, name):
    """Train and test a run, in processes of their own; its figures."""
    train(args, name)
    log = args.out / name / 'test.log'
    command = [Path(__file__), '--test', name, '--out', args.out]
    keys = ['network', 'seeds', 'pretraining', 'epochs', 'crowded_epochs', 'device']
    for key in keys:
        command += [f'--{key.replace("_", "-")}', getattr(args, key)]
    execute(command, log)
    return json.loads((args.out / name / 'figures.json').read_text())


def report(args, results):
    """Write the tables and the plots."""
    import matplotlib

    matplotlib.use('Agg')
    texts = tables(results)
    texts['answers'] = answers_table(args, results)
    text = '\n'.join(f'## {title}\n\n{text}' for title, text in texts.items())
    write_text(args.out / 'tables.md', text)
    print(text)
    print(args.out / 'tables.md')
    plots = {'overlap.png': plot_overlap, 'thinned.png': plot_thinned}
    for name, plot in plots.items():
        plot(args.out / name, results)
        print(args.out / name)
    if args.doc:
        for name, plot in plots.items():
            plot(args.doc.with_name(f'{args.doc.stem}_{name}'), results)
        texts = {f'study {title}': text for title, text in texts.items()}
        write_text(args.doc, fill_tables(args.doc, args.doc.read_text(), texts))
        print(args.doc)


def main():
    args = parse_args()
    plan = planned_runs(args)
    if args.test:
        text = json.dumps(test(args, args.test))
        write_text(args.out / args.test / 'figures.json', text)
        return
    unknown = sorted(set(args.runs or []) - set(plan))
    if unknown:
        sys.exit(f'study: --runs {unknown[0]} is none of {", ".join(plan)}')
    args.out.mkdir(parents=True, exist_ok=True)
    check_settings(args)
    make_data(args)
    path = args.out / 'runs.jsonl'
    results = {result['run']: result for result in read_lines(path)}
    wanted = set(args.runs or plan)
    wanted |= {plan[name]['start'] for name in wanted}
    # in this order: a run that waits for its start holds one of the workers
    todo = [name for name in plan if name in wanted - set(results)]
    for name in todo:  # here: mmengine cannot read configs in several threads
        write_config(args, name)
    ready = {name: Event() for name in todo}

    def work(name):
        start = plan[name]['start']
        if start in ready:
            ready[start].wait()
        try:
            result = run_one(args, name)
            with path.open('a') as stream:
                stream.write(json.dumps(result) + '\n')
            return result
        finally:
            ready[name].set()

    with ThreadPoolExecutor(args.workers) as pool:
        jobs = {pool.submit(work, name): name for name in todo}
        for job in tqdm(as_completed(jobs), total=len(jobs), desc='runs'):
            if job.exception() is None:
                results[jobs[job]] = job.result()
            else:
                tqdm.write(f'{jobs[job]}: {job.exception()}')
    if not results:
        sys.exit('study: no run has ended')
    report(args, {name: results[name] for name in plan if name in results})


if __name__ == '__main__':
    main()
