"""A MIPNet through MMPose's own tools, as a user runs it."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from ..conftest import REPO, person

CONFIG = 'configs/synthcrowd/td-hm_mipnet-res18-small_8e_synthcrowd-128x96.py'


def run_tool(name, *args):
    tools = Path(find_spec('mmpose').origin).parent / '.mim' / 'tools'
    result = subprocess.run(
        [sys.executable, str(tools / name), str(REPO / CONFIG), *args],
        env=dict(os.environ, CUDA_VISIBLE_DEVICES='', OMP_NUM_THREADS='1'),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-3000:]
    return result.stdout


@pytest.mark.slow
def test_train_then_test_with_detected_boxes(coco_folder):
    people = [person(i, i // 2, 20 + 15 * (i % 2), 10, 60, 90) for i in range(8)]
    folder = coco_folder(people)
    detections = [
        dict(image_id=p['image_id'], category_id=1, bbox=p['bbox'], score=0.9)
        for p in people[::2]
    ]
    (folder / 'detections.json').write_text(json.dumps(detections))
    paths = dict(ann_file=folder / 'annotations.json', data_root=f'{folder}/')
    train = 'train_dataloader.dataset.dataset'
    test = 'test_dataloader.dataset'
    work_dir = str(folder / 'out')
    run_tool(
        'train.py',
        '--no-validate',
        '--work-dir',
        work_dir,
        '--cfg-options',
        'train_cfg.max_epochs=1',
        'train_dataloader.batch_size=4',
        f'{train}.data_prefix.img=',
        *(f'{train}.{key}={value}' for key, value in paths.items()),
    )
    output = run_tool(
        'test.py',
        f'{work_dir}/epoch_1.pth',
        '--work-dir',
        work_dir,
        '--out',
        f'{work_dir}/metrics.json',
        '--cfg-options',
        f'{test}.data_prefix.img=',
        f'{test}.bbox_file={folder}/detections.json',
        f'test_evaluator.ann_file={folder}/annotations.json',
        'test_evaluator.per_lambda=True',
        *(f'{test}.{key}={value}' for key, value in paths.items()),
    )
    assert 'coco/lambda1/AP' in output
    metrics = json.loads((folder / 'out' / 'metrics.json').read_text())
    assert {'coco/AP', 'coco/lambda0/AP', 'coco/lambda1/AP'} <= set(metrics)
