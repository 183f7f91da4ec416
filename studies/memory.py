"""Does memory stay flat over many boxes, and over hours of inference?

evaluation: MMPose's test loop with MultiInstanceCocoMetric over synthetic people, as
many boxes as asked. inference: MIPNetInferencer on the same images again and again,
pictures drawn. Prints the process's resident memory as it goes. What the metric has to
keep of each box until the end, its poses, is told beside it.
"""

import argparse
import json
import tempfile
import time
import warnings
from pathlib import Path

from clone import CONFIGS, SMALL

# isort: split
import numpy as np
import torch
from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.runner import Runner
from mmpose.registry import MODELS

from mipnet_mmpose import MIPNetInferencer
from mipnet_mmpose.synthcrowd import generate

CONFIG = CONFIGS / f'td-hm_mipnet-{SMALL}'
IMAGES = 40  # drawn; used again and again


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('what', choices=('evaluation', 'inference'))
    parser.add_argument('--boxes', type=int, default=20000, help='to evaluate')
    parser.add_argument('--minutes', type=float, default=60, help='of inference')
    parser.add_argument('--lines', type=int, default=12, help='to print')
    return parser.parse_args()


def resident():
    """Resident memory of this process, in MB (Linux)."""
    for line in Path('/proc/self/status').read_text().splitlines():
        if line.startswith('VmRSS:'):
            return int(line.split()[1]) / 1024


class MemoryHook(Hook):
    """Prints the memory at even intervals of a test."""

    def __init__(self, lines):
        self.lines = lines

    def after_test_iter(self, runner, batch_idx, data_batch=None, outputs=None):
        total = len(runner.test_dataloader)
        step = max(total // self.lines, 1)
        if (batch_idx + 1) % step == 0:
            results = runner.test_evaluator.metrics[0].results
            kept = sum(
                value.nbytes
                for pred, _ in results
                for value in pred.values()
                if isinstance(value, np.ndarray)
            )
            print(
                f'{len(results):7} boxes  {resident():7.0f} MB, of it poses kept '
                f'{kept / 2**20:5.1f} MB',
                flush=True,
            )


def evaluate(args, folder):
    data = folder / 'val'
    generate(data, IMAGES, 0, progress=False)
    content = json.loads((data / 'annotations.json').read_text())
    images, annotations = [], []
    while len(annotations) < args.boxes:  # the same pictures under other ids
        ids = {}
        for image in content['images']:
            ids[image['id']] = len(images) + 1
            images.append(dict(image, id=len(images) + 1))
        for ann in content['annotations']:
            number = len(annotations) + 1
            ann = dict(ann, id=number, image_id=ids[ann['image_id']])
            annotations.append(ann)
    content.update(images=images, annotations=annotations[: args.boxes])
    ann_file = data / 'many.json'
    ann_file.write_text(json.dumps(content))
    cfg = Config.fromfile(CONFIG)
    cfg.test_dataloader.dataset.update(
        data_root='', ann_file=str(ann_file), data_prefix=dict(img=f'{data}/images/')
    )
    cfg.test_evaluator.ann_file = str(ann_file)
    cfg.model.test_cfg.flip_test = False
    cfg.work_dir, cfg.log_level = str(folder / 'work_dir'), 'ERROR'
    runner = Runner.from_cfg(cfg)
    runner.register_hook(MemoryHook(args.lines))
    print(f'        before  {resident():7.0f} MB')
    runner.test()
    print(f'         after  {resident():7.0f} MB')


def infer(args, folder):
    data = folder / 'val'
    generate(data, IMAGES, 0, progress=False)
    cfg = Config.fromfile(CONFIG)
    weights = folder / 'weights.pth'
    init_default_scope('mmpose')
    model = MODELS.build(cfg.model)
    torch.save(dict(state_dict=model.state_dict(), meta={}), weights)
    inferencer = MIPNetInferencer(str(CONFIG), str(weights), device='cpu')
    content = json.loads((data / 'annotations.json').read_text())
    boxes = [[] for _ in content['images']]
    places = {image['id']: i for i, image in enumerate(content['images'])}
    for ann in content['annotations']:
        x, y, w, h = ann['bbox']
        boxes[places[ann['image_id']]].append([x, y, x + w, y + h])
    files = [str(data / 'images' / im['file_name']) for im in content['images']]
    start = shown = time.time()
    count = 0
    print('minutes   images  memory, MB')
    print(f'{0:7.1f} {count:8} {resident():11.0f}', flush=True)
    while time.time() < start + 60 * args.minutes:
        for _ in inferencer(files, bboxes=boxes, batch_size=8, return_vis=True):
            pass
        count += len(files)
        if time.time() > shown + 60 * args.minutes / args.lines:
            shown = time.time()
            minutes = (shown - start) / 60
            print(f'{minutes:7.1f} {count:8} {resident():11.0f}', flush=True)


def main():
    args = parse_args()
    warnings.filterwarnings('ignore')
    MMLogger.get_instance('memory', log_level='ERROR')
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        run = dict(evaluation=evaluate, inference=infer)[args.what]
        run(args, Path(folder))


if __name__ == '__main__':
    main()
