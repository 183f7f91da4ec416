"""MMPose's own train.py, train.py --resume and test.py, untouched."""

import json
import os
import runpy
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import cv2
import mmpose
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.utils import digit_version

from mipnet_mmpose.mipnetify import mipnetify

from ..conftest import coco_dataset_config, estimator_config, person, train_pipeline

CONFIG = """
_base_ = [
    'mmpose::body_2d_keypoint/topdown_heatmap/coco/'
    'td-hm_res50_8xb64-210e_coco-256x192.py'
]
custom_imports = dict(imports=['mipnet_mmpose'])
model = dict(
    backbone=dict(depth=18, init_cfg=None),
    head=dict(in_channels=512))
data = dict(
    data_root='{root}/', ann_file='people.json',
    data_prefix=dict(img='images/'))
train_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False, dataset=data)
val_dataloader = dict(
    batch_size=2, num_workers=0, persistent_workers=False,
    dataset=dict(bbox_file=None, **data))
test_dataloader = val_dataloader
val_evaluator = dict(ann_file='{root}/people.json')
test_evaluator = val_evaluator
train_cfg = dict(max_epochs=1)
default_hooks = dict(checkpoint=dict(interval=1))
"""


@pytest.fixture
def project(tmp_path):
    """A config and four images of noise with a person each, in COCO format."""
    rng = np.random.default_rng(0)
    (tmp_path / 'images').mkdir()
    images, annotations = [], []
    for index in range(1, 5):
        name = f'{index}.png'
        noise = rng.integers(0, 255, (96, 96, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / 'images' / name), noise)
        images.append(dict(id=index, file_name=name, width=96, height=96))
        keypoints = np.full((17, 3), 2)
        keypoints[:, :2] = rng.integers(20, 70, (17, 2))
        annotations.append(
            dict(
                id=index,
                image_id=index,
                category_id=1,
                iscrowd=0,
                area=2500,
                bbox=[20, 20, 50, 50],
                num_keypoints=17,
                keypoints=keypoints.ravel().tolist(),
            )
        )
    content = dict(
        images=images,
        annotations=annotations,
        categories=[dict(id=1, name='person')],
    )
    (tmp_path / 'people.json').write_text(json.dumps(content))
    (tmp_path / 'tiny.py').write_text(CONFIG.replace('{root}', tmp_path.as_posix()))
    return tmp_path


def run_tool(name, project, *args):
    tools = Path(find_spec('mmpose').origin).parent / '.mim' / 'tools'
    result = subprocess.run(
        [sys.executable, str(tools / name), 'tiny.py', *args, '--work-dir', 'out'],
        cwd=project,
        env=dict(os.environ, CUDA_VISIBLE_DEVICES='', OMP_NUM_THREADS='1'),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-3000:]
    return result.stdout


@pytest.mark.slow
def test_stock_tools_train_resume_and_test(project):
    run_tool('train.py', project, '--no-validate')
    assert (project / 'out' / 'epoch_1.pth').exists()

    output = run_tool(
        'train.py',
        project,
        '--resume',
        '--no-validate',
        '--cfg-options',
        'train_cfg.max_epochs=2',
    )
    assert 'resumed epoch: 1, iter: 2' in output
    assert 'Epoch(train) [1]' not in output
    assert (project / 'out' / 'epoch_2.pth').exists()

    output = run_tool('test.py', project, 'out/epoch_2.pth')
    assert 'coco/AP' in output


@pytest.mark.parametrize('mode', ['transformed', 'original'])
def test_browse_dataset_shows_a_mipnets_training_data(
    mode, coco_folder, tmp_path, monkeypatch
):
    people = [person(1, 1, 20, 10, 60, 90), person(2, 1, 30, 10, 60, 90)]
    stock = coco_dataset_config(coco_folder(people), train_pipeline(augment=False))
    cfg = Config(
        dict(
            model=estimator_config(where=None),
            train_dataloader=dict(dataset=stock),
            visualizer=dict(type='PoseLocalVisualizer', name=f'browse_{mode}'),
        )
    )
    mipnetify(cfg).dump(tmp_path / 'mipnet.py')
    script = Path(find_spec('mmpose').origin).parent / '.mim/tools/misc'
    script, out = str(script / 'browse_dataset.py'), str(tmp_path / 'out')
    options = [str(tmp_path / 'mipnet.py'), '--output-dir', out, '--not-show']
    monkeypatch.setattr(sys, 'argv', [script, *options, '--mode', mode])
    runpy.run_path(script, run_name='__main__')
    pictures = [cv2.imread(str(file)) for file in Path(out).iterdir()]
    heatmaps_below = dict(transformed=(256, 96, 3), original=(120, 160, 3))[mode]
    # MMPose 1.1 names a picture after its image alone
    old = digit_version(mmpose.__version__) < digit_version('1.2')
    num = 1 if old and mode == 'original' else 2
    assert [picture.shape for picture in pictures] == [heatmaps_below] * num
