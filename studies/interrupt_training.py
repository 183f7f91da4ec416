"""Kill a training at random moments, resume it, and compare with one that was not.

Trains a small MIPNet with MMPose's tools/train.py on a few synthetic pictures, with
people pasted and loader workers. Each process is killed with SIGKILL after a random
time; the next one goes on with --resume. Once it has been killed often enough it runs
to its end: weights, statistics and optimizer must then be those of the uninterrupted
training, bit for bit. After every kill each checkpoint must load. A training that ends
before it is killed is compared too, and the next one starts afresh.
"""

import argparse
import os
import random
import runpy
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

os.environ['OMP_NUM_THREADS'] = '1'  # before torch: forks and sums need one thread

from clone import CONFIGS, SMALL

# isort: split
import torch
from mmengine.runner import CheckpointLoader
from tqdm import tqdm

from mipnet_mmpose.mmpose_files import mmpose_tool
from mipnet_mmpose.synthcrowd import generate

CONFIG = CONFIGS / f'td-hm_mipnet-{SMALL}'


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--kills', type=int, default=20)
    parser.add_argument('--epochs', type=int, default=8)
    parser.add_argument('--workers', type=int, default=2, help='of the loader')
    parser.add_argument('--seed', type=int, default=0, help='of the moments')
    return parser.parse_args()


def start(args, folder, work_dir):
    """A process that trains; what is imported here need not be imported there."""
    child = os.fork()
    if child:
        return child
    log = os.open(folder / 'train.log', os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    options = {
        'train_dataloader.dataset.dataset.data_root': f'{folder}/',
        'train_dataloader.dataset.paste_people.prob': 0.5,
        'train_dataloader.batch_size': 8,
        'train_dataloader.num_workers': args.workers,
        'train_cfg.max_epochs': args.epochs,
        'param_scheduler.1.end': args.epochs,
        'default_hooks.checkpoint.interval': 1,
        'randomness.seed': 0,
    }
    sys.argv = ['train.py', str(CONFIG), '--work-dir', str(work_dir)]
    sys.argv += ['--no-validate', '--resume', '--cfg-options']
    sys.argv += [f'{key}={value}' for key, value in options.items()]
    code = 1
    try:
        runpy.run_path(str(mmpose_tool('train.py')), run_name='__main__')
        code = 0
    finally:
        os._exit(code)


def ended(child, seconds=None):
    """Wait for a process, kill it after so long; whether it ended by itself."""
    deadline = time.monotonic() + (seconds or 1e9)
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            if status:
                raise RuntimeError(f'the training failed with status {status}')
            return True
        time.sleep(0.005)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return False


def mend_last_checkpoint(work_dir):
    """Write mmengine's one line anew where it was cut off; whether it was."""
    path = work_dir / 'last_checkpoint'
    if not path.exists() or Path(path.read_text()).is_file():
        return False
    newest = max(work_dir.glob('epoch_*.pth'), key=lambda each: each.stat().st_mtime)
    path.write_text(str(newest))
    return True


def load(path):
    return CheckpointLoader.load_checkpoint(str(path), map_location='cpu')


def differences(found, expected, name=''):
    """Names of what is not the same, bit for bit."""
    if isinstance(expected, dict):
        if found.keys() != expected.keys():
            return [name]
        pairs = [(found[key], expected[key], f'{name}.{key}') for key in expected]
        return [d for pair in pairs for d in differences(*pair)]
    if isinstance(expected, torch.Tensor):
        return [] if torch.equal(found, expected) else [name]
    if isinstance(expected, (list, tuple)):
        return differences(dict(enumerate(found)), dict(enumerate(expected)), name)
    return [] if found == expected else [name]


def check_end(args, work_dir, expected):
    found = load(work_dir / f'epoch_{args.epochs}.pth')
    for part in ('state_dict', 'optimizer', 'param_schedulers'):
        differing = differences(found[part], expected[part], part)
        if differing:
            sys.exit(f'interrupt_training: {len(differing)} differ: {differing[:3]}')


def main():
    args = parse_args()
    moments = random.Random(args.seed)
    folder = Path(tempfile.mkdtemp())
    try:
        generate(folder / 'train', 8, 0, size=(160, 120), progress=False)
        began = time.monotonic()
        ended(start(args, folder, folder / 'whole'))
        whole = time.monotonic() - began
        expected = load(folder / 'whole' / f'epoch_{args.epochs}.pth')
        kills = finished = loaded = lost = mended = 0
        work_dir = folder / 'killed'
        bar = tqdm(total=args.kills, desc='kills')
        while kills < args.kills:
            if ended(start(args, folder, work_dir), moments.uniform(0, whole)):
                check_end(args, work_dir, expected)
                finished += 1
                shutil.rmtree(work_dir)
                continue
            kills += 1
            bar.update()
            checkpoints = sorted(work_dir.glob('epoch_*.pth'))
            for path in checkpoints:
                load(path)
                loaded += 1
            lost += not checkpoints
            mended += mend_last_checkpoint(work_dir)
        bar.close()
        ended(start(args, folder, work_dir))
        check_end(args, work_dir, expected)
        print(f'{kills} kills within {whole:.1f} s, {lost} before the first checkpoint')
        print(f'{mended} times last_checkpoint was cut off and written anew')
        print(f'{loaded} checkpoints of killed trainings loaded')
        print(
            f'{finished + 1} trainings to their end, equal to the whole one bit by bit'
        )
    except RuntimeError as error:
        tail = (folder / 'train.log').read_text()[-2000:]
        sys.exit(f'interrupt_training: {error}\n{tail}')
    finally:
        shutil.rmtree(folder)


if __name__ == '__main__':
    main()
