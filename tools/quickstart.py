"""People on a photograph at once; then MIPNet trained beside its baseline.

The photograph is given to `mipnet demo`. Then MMPose's train.py trains both models on
a synthetic crowd, MMPose's runner tests them, and a table compares them. An
interrupted training goes on where it was.
"""

import argparse
import itertools
import json
import os
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from importlib.util import find_spec
from pathlib import Path

REPO = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPO))
from mipnet_command import run_tool, tool_parser  # noqa: E402

PHOTO = REPO / 'docs' / 'baseball.jpg'
CONFIG = 'configs/synthcrowd/td-hm_{}res18-small_8e_synthcrowd-128x96.py'
MODELS = {
    'baseline': REPO / CONFIG.format(''),
    'MIPNet': REPO / CONFIG.format('mipnet-'),
}
PERSONS = {'all': 'val', 'overlapped half': 'val-overlapped'}
BOXES = {'all boxes': None, 'one box per pair': 'one_box_per_pair.json'}
METRICS = {'AP': 'AP', 'AP50': 'AP .5', 'AR': 'AR', 'AR50': 'AR .5'}


def parse_args():
    parser = tool_parser('quickstart', __doc__)
    parser.formatter_class = argparse.ArgumentDefaultsHelpFormatter
    add = parser.add_argument
    add('--out', type=Path, default=Path('work_dirs/quickstart'), help='folder')
    add('--demo-only', action='store_true', help='the photograph, no training')
    add('--seed', type=int, default=0, help='of data and training')
    add('--images', type=int, default=1500, help='to train on')
    add('--test-images', type=int, default=300, help='to test on')
    add('--epochs', type=int, default=8, help='of both models')
    return parser.parse_args()


def run(title, command, log):
    """Run a Python script; its output goes to a log file, its last line is shown."""
    start = time.time()
    log.parent.mkdir(parents=True, exist_ok=True)
    path = os.pathsep.join(filter(None, [str(REPO), os.environ.get('PYTHONPATH')]))
    streams = dict(stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    streams.update(errors='replace', env=dict(os.environ, PYTHONPATH=path))
    command = [sys.executable, *map(str, command)]
    with log.open('w') as file, subprocess.Popen(command, **streams) as process:
        try:
            for line in process.stdout:
                file.write(line)
                if sys.stdout.isatty():
                    line = f'{title}: {line.strip().split(" - ")[-1]}'
                    print(f'\r{line[:78]:<78}', end='', flush=True)
        except KeyboardInterrupt as stop:
            process.terminate()
            raise KeyboardInterrupt('(the same command goes on)') from stop
    if process.returncode:
        print('', *log.read_text().splitlines()[-15:], sep='\n', file=sys.stderr)
        sys.exit(f'quickstart: {title} failed, see {log}')
    done = f'{title}: done in {time.time() - start:.0f} s'
    print(f'\r{done:<78}' if sys.stdout.isatty() else done, flush=True)


def make_data(args, data):
    """A training and a test set, and the half of the test images that overlaps."""
    for name, images, seed in (
        ('train', args.images, 2 * args.seed + 1),
        ('val', args.test_images, 2 * args.seed),
    ):
        command = [REPO / 'tools/synthcrowd.py', data / name, '--images', images]
        command += ['--seed', seed, '--persons', '2-2', '--overlap', '0.5-0.85']
        command += ['--workers', os.cpu_count() or 1]
        run(f'SynthCrowd {name}', command, args.out / f'logs/synthcrowd-{name}.log')

    val = json.loads((data / 'val' / 'annotations.json').read_text())
    overlap = {image['id']: 0.0 for image in val['images']}
    for person in val['annotations']:
        image_id = person['image_id']
        overlap[image_id] = max(overlap[image_id], person['max_iou'])
    half = set(sorted(overlap, key=overlap.get)[len(overlap) // 2 :])
    folder = data / 'val-overlapped'
    folder.mkdir(exist_ok=True)
    val['images'] = [image for image in val['images'] if image['id'] in half]
    val['annotations'] = [a for a in val['annotations'] if a['image_id'] in half]
    (folder / 'annotations.json').write_text(json.dumps(val))
    boxes = json.loads((data / 'val' / 'one_box_per_pair.json').read_text())
    boxes = [box for box in boxes if box['image_id'] in half]
    (folder / 'one_box_per_pair.json').write_text(json.dumps(boxes))


def train(args, name, tool, data):
    """Train with MMPose's tool; an interrupted training is resumed."""
    dataset = 'train_dataloader.dataset' + ('.dataset' if name == 'MIPNet' else '')
    work_dir = args.out / name
    command = [tool, MODELS[name], '--work-dir', work_dir, '--resume']
    command += ['--no-validate', '--cfg-options', f'{dataset}.data_root={data}/']
    command += [f'train_cfg.max_epochs={args.epochs}', f'randomness.seed={args.seed}']
    command += [f'param_scheduler.1.end={args.epochs}', 'auto_scale_lr.enable=False']
    run(f'training {name}', command, args.out / f'logs/train-{name}.log')
    return work_dir / f'epoch_{args.epochs}.pth'


def test(args, checkpoints, data):
    """Rows of figures; tested as by MMPose's test.py, which would import it 8 times."""
    start, rows = time.time(), []
    log = (args.out / 'logs/test.log').open('w')
    with log, redirect_stdout(log), redirect_stderr(log):
        import mipnet_mmpose  # noqa: F401 (before mmengine looks for ops of mmcv)

        # isort: split
        from mmengine.config import Config
        from mmengine.runner import Runner

        for persons, boxes, name in itertools.product(PERSONS, BOXES, MODELS):
            ann_file = data / PERSONS[persons] / 'annotations.json'
            box_file = BOXES[boxes] and str(ann_file.with_name(BOXES[boxes]))
            cfg = Config.fromfile(MODELS[name])
            cfg.work_dir = str(args.out / name / 'test')
            cfg.load_from = str(checkpoints[name])
            cfg.test_dataloader.dataset.update(
                data_root=f'{data}/', ann_file=str(ann_file), bbox_file=box_file
            )
            cfg.test_evaluator.ann_file = str(ann_file)
            found = Runner.from_cfg(cfg).test()
            figures = [f'{100 * found[f"coco/{key}"]:.1f}' for key in METRICS.values()]
            rows.append((persons, boxes, name, *figures))
    print(f'testing: done in {time.time() - start:.0f} s')
    return rows


def quickstart(args):
    args.out = args.out.resolve()
    names = ('seed', 'images', 'test_images', 'epochs')
    settings = json.dumps({name: getattr(args, name) for name in names})
    file = args.out / 'settings.json'
    if file.exists() and file.read_text() != settings and not args.demo_only:
        raise ValueError(f'{args.out} is of other settings, give another --out')
    demo = [REPO / 'tools/demo.py', PHOTO, '--out', args.out / 'demo']
    code = subprocess.run([sys.executable, *map(str, demo)]).returncode
    if code or args.demo_only:
        sys.exit(code)
    file.write_text(settings)

    data = args.out / 'data'
    tool = Path(find_spec('mmpose').origin).parent / '.mim' / 'tools' / 'train.py'
    make_data(args, data)
    trained = {name: train(args, name, tool, data) for name in MODELS}
    rows = [('persons', 'boxes', 'model', *METRICS), ['---'] * 3 + ['---:'] * 4]
    rows += test(args, trained, data)
    text = '\n'.join(f'| {" | ".join(row)} |' for row in rows)
    (args.out / 'table.md').write_text(text + '\n')
    print(f'\n{text}\n\n{args.out / "table.md"}')


if __name__ == '__main__':
    run_tool(quickstart, parse_args())
