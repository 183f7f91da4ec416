"""A MIPNet through MMPose's own tools, as a user runs it."""

import json
import runpy
import sys

import pytest

from mipnet_mmpose.mmpose_files import mmpose_file

from ..conftest import REPO, person

CONFIG = 'configs/synthcrowd/td-hm_mipnet-res18-small_8e_synthcrowd-128x96.py'


@pytest.mark.slow
def test_train_then_test_with_detected_boxes(coco_folder, monkeypatch):
    people = [person(i, i // 2, 20 + 15 * (i % 2), 10, 60, 90) for i in range(8)]
    folder = coco_folder(people)
    detections = [
        dict(image_id=p['image_id'], category_id=1, bbox=p['bbox'], score=0.9)
        for p in people[::2]
    ]
    (folder / 'detections.json').write_text(json.dumps(detections))
    file, out = folder / 'annotations.json', folder / 'out'

    def run(tool, loader, *args):
        paths = (f'data_root={folder}/', f'ann_file={file}', 'data_prefix.img=')
        words = [mmpose_file(f'tools/{tool}'), REPO / CONFIG, '--work-dir', out, *args]
        words += ['--cfg-options', *(f'{loader}.{path}' for path in paths)]
        words += ['test_evaluator.per_lambda=True', 'train_cfg.max_epochs=1']
        words += [f'test_dataloader.dataset.bbox_file={folder}/detections.json']
        words += [f'test_evaluator.ann_file={file}', 'train_dataloader.batch_size=4']
        monkeypatch.setattr(sys, 'argv', [str(word) for word in words])
        runpy.run_path(str(words[0]), run_name='__main__')

    run('train.py', 'train_dataloader.dataset.dataset', '--no-validate')
    checkpoint, metrics = out / 'epoch_1.pth', out / 'metrics.json'
    run('test.py', 'test_dataloader.dataset', checkpoint, '--out', metrics)
    metrics = json.loads(metrics.read_text())
    assert {'coco/AP', 'coco/lambda0/AP', 'coco/lambda1/AP'} <= set(metrics)
