"""Time and memory of tools/demo.py on a generated video, MIPNet beside its baseline.

Both get the same boxes of three people. A short run and a long one of each tell the
start from what a frame costs. The weights are random: they change no time.
"""

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path

from clone import CONFIGS, REPO, SMALL

# isort: split
import cv2
import numpy as np
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS
from tqdm import tqdm

from mipnet_mmpose.markdown import markdown_table
from mipnet_mmpose.synthcrowd import generate_image


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        '--baseline',
        type=Path,
        default=CONFIGS / f'td-hm_{SMALL}',
    )
    parser.add_argument(
        '--config',
        type=Path,
        default=CONFIGS / f'td-hm_mipnet-{SMALL}',
    )
    parser.add_argument('--frames', type=int, default=300, help='default: 300')
    parser.add_argument('--short', type=int, default=60, help='default: 60')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/demo_speed'))
    parser.add_argument('--device', default='cpu', help='default: cpu')
    parser.add_argument('--no-pictures', action='store_true', help='poses only')
    args = parser.parse_args()
    if not 0 < args.short < args.frames:
        parser.error('--short must be less than --frames')
    return args


def make_video(path, frames, size=(640, 480), margin=40):
    """Three people before a camera that sways; their boxes for each frame."""
    width, height = size
    large = (width + 2 * margin, height + 2 * margin)
    image, people = generate_image(0, 0, persons=(3, 3), size=large)[:2]
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'mp4v'), 25, size)
    boxes = []
    for i in range(frames):
        turn = 2 * np.pi * i / 75
        x, y = (round(margin * (1 + f(turn))) for f in (np.cos, np.sin))
        writer.write(image[y : y + height, x : x + width])
        for person in people:
            left, top, w, h = person['bbox']
            box = [left - x, top - y, w, h]
            boxes.append(dict(image_id=i, category_id=1, bbox=box, score=1.0))
    writer.release()
    path.with_suffix('.json').write_text(json.dumps(boxes))


def save_weights(config, path):
    """A checkpoint with the weights the model is built with."""
    init_default_scope('mmpose')
    model = MODELS.build(Config.fromfile(config).model)
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)


def run_demo(args, name, config, frames):
    """Processor seconds and peak memory in MB of a run of the demo."""
    video = args.out / f'{frames}.mp4'
    command = [sys.executable, REPO / 'tools' / 'demo.py', video]
    command += ['--config', config, '--checkpoint', args.out / f'{name}.pth']
    command += ['--boxes', video.with_suffix('.json'), '--device', args.device]
    command += ['--out', args.out / f'{name}-{frames}']
    command += ['--no-pictures'] * args.no_pictures
    with (args.out / f'{name}-{frames}.log').open('w') as log:
        process = subprocess.Popen(
            list(map(str, command)), stdout=log, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
    text = Path(log.name).read_text()
    if status:
        sys.exit(f'the demo failed, see {log.name}:\n{text[-2000:]}')
    (*_, speed) = (line for line in text.splitlines() if 'frames/s' in line)
    tqdm.write(f'{name}: {speed}')
    unit = 2**20 if sys.platform == 'darwin' else 2**10
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / unit


def main():
    args = parse_args()
    args.out = args.out.resolve()
    args.out.mkdir(parents=True, exist_ok=True)
    lengths = (args.short, args.frames)
    for frames in lengths:
        make_video(args.out / f'{frames}.mp4', frames)
    costs, rows = {}, []
    models = {'baseline': args.baseline, 'MIPNet': args.config}
    for name, config in tqdm(models.items(), desc='models'):
        save_weights(config, args.out / f'{name}.pth')
        (cpu, memory), (long_cpu, long_memory) = (
            run_demo(args, name, config, frames) for frames in lengths
        )
        costs[name] = (long_cpu - cpu) / (args.frames - args.short)
        figures = 1000 * costs[name], memory, long_memory
        rows.append([name, *map('{:.{}f}'.format, figures, (1, 0, 0))])
    header = ['model', 'processor ms a frame']
    header += [f'peak MB, {frames} frames' for frames in lengths]
    print(markdown_table(header, rows))
    print(f'\nMIPNet takes {costs["MIPNet"] / costs["baseline"]:.2f} x the baseline')


if __name__ == '__main__':
    main()
