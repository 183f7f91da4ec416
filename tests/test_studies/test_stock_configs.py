"""What studies/stock_configs.py finds, checks and writes, on a few configs."""

import csv

import pytest
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS

from ..conftest import load_tool

study = load_tool('stock_configs')
samples = load_tool('made_up_samples')
SIMCC = 'simcc_mobilenetv2_wo-deconv-8xb64-210e_coco-256x192'
FILE = f'body_2d_keypoint/simcc/coco/{SIMCC}.py'
HAND5 = 'hand_2d_keypoint/rtmpose/hand5/rtmpose-m_8xb256-210e_hand5-256x256.py'
DATASET_TYPES = (
    'AFLW AP10K Aic AnimalKingdom AnimalPose COFW Coco CocoWholeBody '
    'CocoWholeBodyFace CocoWholeBodyHand CrowdPose DeepFashion2 Exlpose Face300W '
    'Face300WLP FreiHand Halpe HumanArt HumanArt21 InterHand2DDouble Jhmdb '
    'Lapa Locust Mpii OCHuman OneHand10K PoseTrack18 Rhd2D UBody2d WFLW Zebra'
).split()


@pytest.mark.parametrize('name', DATASET_TYPES)
def test_made_up_people_are_read_by_every_stock_dataset(name, tmp_path):
    cfg = dict(type=f'{name}Dataset', data_root='data', ann_file='a.json')
    if name == 'InterHand2DDouble':
        cfg.update(camera_param_file='camera.json', joint_file='joint.json')
    dataset = DATASETS.build(samples.with_made_up_people(cfg, tmp_path))
    hands = 2 if name == 'CocoWholeBodyHand' else 1
    assert len(dataset) == (1 if name == 'InterHand2DDouble' else 2 * hands)
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        assert info['keypoints'].shape == (1, dataset.metainfo['num_keypoints'], 2)
        x1, y1, x2, y2 = info['bbox'][0]
        assert (info['keypoints'] >= (x1 - 1, y1 - 1)).all()
        assert (info['keypoints'] <= (x2 + 1, y2 + 1)).all()


@pytest.mark.slow
def test_a_config_passes_and_is_not_run_again(tmp_path, capsys):
    out = tmp_path / 'table.csv'
    study.main(['--out', str(out), '--only', FILE])
    assert '1 of 1 configs pass' in capsys.readouterr().out
    with out.open() as file:
        (line,) = csv.DictReader(file)
    assert line['backbone'] == 'MobileNetV2' and line['siblings'] == '2'
    assert 1 < float(line['ratio of multiply-adds']) < 2
    assert float(line['lambda 0']) < 1e-6
    before = out.read_text()
    study.main(['--out', str(out), '--only', FILE])
    assert out.read_text() == before


def test_what_fails_says_whose_fault_it_is(monkeypatch):
    monkeypatch.setattr(study, 'check', lambda *_: 1 / 0)
    init_default_scope('mmpose')
    line = study.cover((HAND5, False))
    assert line['status'] == 'failed in MMPose'
    assert line['reason'].startswith("KeyError: 'HalpeHandDataset is not in")
    line = study.cover((FILE, False))
    assert line['status'] == 'failed' and 'ZeroDivisionError' in line['reason']
