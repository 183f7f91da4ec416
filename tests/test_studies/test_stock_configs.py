"""What studies/stock_configs.py finds, plans and writes."""

import json
import re

import pytest
from mmengine.config import Config
from mmpose.registry import DATASETS

from mipnet_mmpose.mmpose_files import STOCK_CONFIGS

from ..conftest import load_tool, needs_registered, stock_config_file

stock_configs = load_tool('stock_configs')
made_up_samples = load_tool('made_up_samples')
checks = load_tool('stock_config_check')
coverage = load_tool('stock_config_document')
BODY = 'body_2d_keypoint'
SIMCC = f'{BODY}/simcc/coco/simcc_mobilenetv2_wo-deconv-8xb64-210e_coco-256x192.py'
HAND5 = 'hand_2d_keypoint/rtmpose/hand5/rtmpose-m_8xb256-210e_hand5-256x256.py'
DWPOSE = (
    'wholebody_2d_keypoint/dwpose/ubody/s1_dis/dwpose_l_dis_t_coco-ubody-256x192.py'
)
DATASET_TYPES = (
    'AFLW AP10K Aic AnimalKingdom AnimalPose COFW Coco CocoWholeBody '
    'CocoWholeBodyFace CocoWholeBodyHand CrowdPose DeepFashion2 Exlpose Face300W '
    'Face300WLP FreiHand Halpe HumanArt HumanArt21 InterHand2DDouble Jhmdb '
    'Lapa Locust Mpii OCHuman OneHand10K PoseTrack18 Rhd2D UBody2d WFLW Zebra'
).split()


def job(name, **changes):
    return dict(dict(config=name, wheres=['neck'], warm=[]), **changes)


@pytest.mark.parametrize('name', DATASET_TYPES)
def test_made_up_people_are_read_by_every_stock_dataset(name, tmp_path):
    cfg = dict(type=f'{name}Dataset', data_root='data', ann_file='a.json')
    if name == 'InterHand2DDouble':
        cfg.update(camera_param_file='camera.json', joint_file='joint.json')
    needs_registered(DATASETS, cfg['type'])
    dataset = DATASETS.build(made_up_samples.with_made_up_data(cfg, tmp_path))
    hands = 2 if name == 'CocoWholeBodyHand' else 1
    assert len(dataset) == (1 if name == 'InterHand2DDouble' else 2 * hands)
    for i in range(len(dataset)):
        info = dataset.get_data_info(i)
        assert info['keypoints'].shape == (1, dataset.metainfo['num_keypoints'], 2)
        x1, y1, x2, y2 = info['bbox'][0]
        assert (info['keypoints'] >= (x1 - 1, y1 - 1)).all()
        assert (info['keypoints'] <= (x2 + 1, y2 + 1)).all()


@pytest.mark.parametrize(('subset', 'count'), [('upper', 6), ('lower', 4), ('full', 8)])
def test_made_up_people_have_the_keypoints_of_the_subset(subset, count, tmp_path):
    cfg = dict(type='DeepFashionDataset', subset=subset, ann_file='a.json')
    dataset = DATASETS.build(made_up_samples.with_made_up_data(cfg, tmp_path))
    assert dataset.get_data_info(0)['keypoints'].shape == (1, count, 2)


@pytest.mark.slow
def test_a_config_that_works_passes():
    cfg = Config.fromfile(STOCK_CONFIGS / SIMCC)
    first, second = stock_configs.plan([(SIMCC, cfg), ('another', cfg)])
    assert first == job(SIMCC, wheres=['neck', 'backbone'], warm=['neck', 'backbone'])
    assert second == job('another')
    result = json.loads(json.dumps(checks.cover(first)))
    assert result['status'] == 'passed'
    assert result['neck']['siblings'] == result['backbone']['siblings'] == 2
    assert 1 < result['backbone']['cost']['ratio'] < 2
    text = coverage.document([result])
    assert '**1 of 1 configs pass (100.0 %).**' in text
    row = re.search(r'^\| MobileNetV2 \| 1 \| 1 \| 1\.48 \| (\S+) \|$', text, re.M)
    assert float(row[1]) < 1e-6


def test_what_fails_says_whose_fault_it_is(monkeypatch):
    stock_config_file(DWPOSE)
    results = [
        checks.cover(job(HAND5)),
        checks.cover(job(DWPOSE)),
    ]
    stock, refused = results
    assert stock['status'] == 'failed in MMPose'
    assert 'fails on it too, KeyError' in stock['reason']
    assert refused['status'] == 'refused'
    assert "model.type is 'DWPoseDistiller'" in refused['reason']

    def wrong(*args):
        raise AssertionError('the loss is nan')

    monkeypatch.setattr(checks, 'check', wrong)
    monkeypatch.setattr(checks, 'stock_error', lambda cfg: None)
    results.append(checks.cover(job(SIMCC)))
    assert results[-1]['status'] == 'failed'
    results[0]['neck'] = dict(lines=30)
    text = coverage.document(results)
    assert '**0 of 2 configs pass (0.0 %).**' in text
    assert 'the loss is nan (test_stock_configs.py:' in text
    for result in results:
        assert f'  - `{result["config"]}`' in text


def test_what_people_wrote_is_kept(tmp_path):
    path = tmp_path / 'stock_configs.md'
    assert coverage.learnt_section(path) == ''
    passed = dict(job(SIMCC), status='passed', neck=dict(lines=30), family='CSPNeXt')
    section = coverage.LEARNT + '\nIt is.\n\n'
    path.write_text(coverage.document([passed], section))
    assert coverage.learnt_section(path) == section
    text = path.read_text()
    assert text == coverage.document([passed], coverage.learnt_section(path))


def test_configs_of_one_pose_per_box_are_found():
    names = [
        name for name, _ in stock_configs.top_down_configs(f'{BODY}/*/coco/*vipnas*')
    ]
    assert [name.split('/')[-1] for name in names] == [
        'simcc_vipnas-mbv3_8xb64-210e_coco-256x192.py',
        'td-hm_vipnas-mbv3_8xb64-210e_coco-256x192.py',
        'td-hm_vipnas-res50_8xb64-210e_coco-256x192.py',
    ]
    assert not list(stock_configs.top_down_configs(f'{BODY}/dekr/coco/*.py'))
