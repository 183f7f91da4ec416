"""Train MIPNet beside its baseline on a synthetic crowd and compare them.

Data, training and evaluation are what a user would run: tools/synthcrowd.py of
this repository, tools/train.py and tools/test.py of MMPose.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from mipnet_mmpose.comparison.pair_crops import draw_pairs
from mipnet_mmpose.markdown import markdown_table
from mipnet_mmpose.mmpose_files import mmpose_tool
from mipnet_mmpose.whole_files import write_text

REPO = Path(__file__).resolve().parents[1]
CONFIGS = REPO / 'configs' / 'synthcrowd'
HEADS = {
    'heatmap': 'td-hm_{}res18-small_8e_synthcrowd-128x96.py',
}
MODELS = {
    head: {
        'baseline': CONFIGS / name.format(''),
        'MIPNet': CONFIGS / name.format('mipnet-'),
    }
    for head, name in HEADS.items()
}
PERSONS = {'all': 'val', 'overlapped half': 'val-overlapped'}
BOXES = {'all boxes': None, 'one box per pair': 'one_box_per_pair.json'}
METRICS = {'AP': 'AP', 'AP50': 'AP .5', 'AR': 'AR', 'AR50': 'AR .5'}


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', type=Path, default=Path('work_dirs/quickstart'))
    parser.add_argument(
        '--head', choices=HEADS, default='heatmap', help='of both models'
    )
    parser.add_argument('--seed', type=int, default=0, help='of data and training')
    parser.add_argument('--images', type=int, default=1500, help='to train on')
    parser.add_argument('--test-images', type=int, default=300)
    parser.add_argument('--epochs', type=int, default=8, help='of both models')
    parser.add_argument('--overlap', default='0.5-0.85', help='box IoU of the pairs')
    return parser.parse_args()


def run(title, command, log):
    """Run a command, its output in a log file and its progress on one line."""
    start = time.time()
    log.parent.mkdir(parents=True, exist_ok=True)
    path = os.pathsep.join(filter(None, [str(REPO), os.environ.get('PYTHONPATH')]))
    with log.open('w') as stream:
        process = subprocess.Popen(
            [sys.executable, *map(str, command)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors='replace',
            env=dict(os.environ, PYTHONPATH=path),
        )
        for line in process.stdout:
            stream.write(line)
            progress = re.search(
                r'Epoch\((?:train|val|test)\).*?\[.*?(?=  +(?:lr|eta|time|coco))|'
                r'\d+/\d+ images',
                line,
            )
            if progress:
                eta = re.search(r'eta: (\S+)', line)
                loss = re.search(r'loss: (\S+)', line)
                show(
                    f'{title}: {progress[0].strip()}'
                    + (f', loss {loss[1]}' if loss else '')
                    + (f', eta {eta[1]}' if eta else '')
                )
    if process.wait():
        print(f'\n{"".join(log.read_text().splitlines(True)[-15:])}', file=sys.stderr)
        sys.exit(f'quickstart: {title} failed, see {log}')
    show(f'{title}: done in {time.time() - start:.0f} s', end='\n')


def show(text, end='\r'):
    """Rewrite the progress line; one line each where there is no terminal."""
    if sys.stdout.isatty():
        print(f'{text:<{shutil.get_terminal_size().columns - 1}}', end=end, flush=True)
    else:
        print(text, flush=True)


def make_data(args, data):
    """A training and a test set, and the half of the test images that overlaps."""
    tool = REPO / 'tools' / 'synthcrowd.py'
    for name, images, seed in (
        ('train', args.images, 2 * args.seed + 1),
        ('val', args.test_images, 2 * args.seed),
    ):
        command = [tool, data / name, '--images', images, '--seed', seed]
        command += ['--persons', '2-2', '--overlap', args.overlap]
        command += ['--workers', os.cpu_count() or 1]
        run(f'SynthCrowd {name}', command, args.out / 'logs' / f'synthcrowd-{name}.log')

    val = json.loads((data / 'val' / 'annotations.json').read_text())
    overlap = {image['id']: 0.0 for image in val['images']}
    for person in val['annotations']:
        image_id = person['image_id']
        overlap[image_id] = max(overlap[image_id], person['max_iou'])
    half = set(sorted(overlap, key=overlap.get)[len(overlap) // 2 :])
    folder = data / 'val-overlapped'
    val['images'] = [image for image in val['images'] if image['id'] in half]
    val['annotations'] = [a for a in val['annotations'] if a['image_id'] in half]
    write_text(folder / 'annotations.json', json.dumps(val))
    boxes = json.loads((data / 'val' / 'one_box_per_pair.json').read_text())
    boxes = [box for box in boxes if box['image_id'] in half]
    write_text(folder / 'one_box_per_pair.json', json.dumps(boxes))


def train(args, name, config, data):
    """Train with MMPose's tool; an interrupted training is resumed."""
    dataset = 'train_dataloader.dataset' + ('.dataset' if name == 'MIPNet' else '')
    work_dir = args.out / name
    command = [mmpose_tool('train.py'), config, '--work-dir', work_dir, '--resume']
    command += ['--no-validate', '--cfg-options', f'{dataset}.data_root={data}/']
    command += [f'train_cfg.max_epochs={args.epochs}', f'randomness.seed={args.seed}']
    command += [f'param_scheduler.1.end={args.epochs}', 'auto_scale_lr.enable=False']
    run(f'training {name}', command, args.out / 'logs' / f'train-{name}.log')
    return work_dir / f'epoch_{args.epochs}.pth'


def evaluate(args, name, config, checkpoint, data, persons, boxes):
    """Evaluate with MMPose's tool, on some persons with some boxes."""
    title = f'{name}, {persons}, {boxes}'
    stem = re.sub(r'\W+', '-', title)
    metrics = args.out / 'metrics' / f'{stem}.json'
    metrics.parent.mkdir(exist_ok=True)
    folder = PERSONS[persons]
    ann_file = f'{folder}/annotations.json'
    command = [mmpose_tool('test.py'), config, checkpoint, '--out', metrics]
    command += ['--work-dir', args.out / name / 'test', '--cfg-options']
    command += [f'test_dataloader.dataset.data_root={data}/']
    command += [f'test_dataloader.dataset.ann_file={ann_file}']
    command += [f'test_evaluator.ann_file={data / ann_file}']
    if BOXES[boxes]:
        box_file = data / folder / BOXES[boxes]
        command += [f'test_dataloader.dataset.bbox_file={box_file}']
    run(f'testing {title}', command, args.out / 'logs' / f'test-{stem}.log')
    return json.loads(metrics.read_text())


def main():
    args = parse_args()
    start = time.time()
    configs = MODELS[args.head]
    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    settings = {k: v for k, v in vars(args).items() if k != 'out'}
    settings_file = args.out / 'settings.json'
    if not settings_file.exists() or json.loads(settings_file.read_text()) != settings:
        for name in (*configs, 'data', 'metrics', 'logs'):
            shutil.rmtree(args.out / name, ignore_errors=True)
        write_text(settings_file, json.dumps(settings))

    data = args.out / 'data'
    make_data(args, data)
    checkpoints = {n: train(args, n, config, data) for n, config in configs.items()}
    results = {
        (persons, boxes, name): evaluate(
            args, name, config, checkpoints[name], data, persons, boxes
        )
        for persons in PERSONS
        for boxes in BOXES
        for name, config in configs.items()
    }
    rows = [
        (*case, *(f'{100 * values[f"coco/{key}"]:.1f}' for key in METRICS.values()))
        for case, values in results.items()
    ]
    text = markdown_table(('persons', 'boxes', 'model', *METRICS), rows, 'lllr')
    write_text(args.out / 'table.md', text + '\n')
    picture = args.out / 'compare.png'
    draw_pairs(picture, configs, checkpoints, data / 'val', data / 'val-overlapped')
    print(f'\n{text}\n\n{picture}')
    print(f'{time.time() - start:.0f} s in all')


if __name__ == '__main__':
    main()
