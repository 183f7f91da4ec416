"""The check of all configs, on a small one."""

import json
import re

import pytest

from ..conftest import REPO, load_tool

check_configs = load_tool('check_configs')

SMALL = """
_base_ = ['{configs}/crowdpose/td-hm_mipnet-res50_8xb64-210e_crowdpose-256x192.py']
model = dict(
    backbone=dict(backbone=dict(depth=18)), head=dict(head=dict(in_channels=512)))
"""


@pytest.fixture
def small_config(tmp_path):
    path = tmp_path / 'small.py'
    path.write_text(SMALL.format(configs=(REPO / 'configs').as_posix()))
    return path


@pytest.fixture
def check(tmp_path, monkeypatch):
    """Run the tool; the folder it writes to is ``out``."""
    monkeypatch.chdir(tmp_path)  # which the tool leaves
    monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')
    return lambda *args: check_configs.main([*map(str, args), '--out', 'out'])


@pytest.mark.slow
def test_small_config_trains_and_is_tested(
    check, small_config, real_data, capsys, monkeypatch, tmp_path
):
    check(small_config, '--data', real_data)
    out = tmp_path / 'out'
    result = json.loads((out / 'results.json').read_text())[str(small_config)]
    assert result['passed'] and len(result['losses']) == 2
    assert set(result['metrics']) == {'ground-truth boxes', 'detected boxes'}
    for metrics in result['metrics'].values():
        assert {'crowdpose/AP', 'crowdpose/lambda1/AP'} <= set(metrics)
    assert f'{small_config}: ok, ' in capsys.readouterr().out
    assert not list(out.rglob('*.pth'))

    monkeypatch.chdir(tmp_path)
    check(small_config, '--data', real_data)
    assert f'{small_config}: passed before' in capsys.readouterr().out


def test_failure_is_told_and_the_others_go_on(
    check, small_config, real_data, capsys, monkeypatch, tmp_path
):
    other = tmp_path / 'other.py'
    other.write_text(small_config.read_text())

    def train(config, *_):
        if config == small_config:
            raise check_configs.CheckError('train.py: no such loss')
        return None, [0.5, 0.25]

    monkeypatch.setattr(check_configs, 'train', train)
    monkeypatch.setattr(check_configs, 'test', lambda *_: {'crowdpose/AP': 0.0})
    with pytest.raises(SystemExit, match='1 of 2 failed'):
        check(small_config, other, '--data', real_data)
    output = capsys.readouterr().out
    assert re.search(r'small.py: FAILED, \d+ s: train.py: no such loss', output)
    assert re.search(r'other.py: ok, \d+ s: loss 0.5 0.25; 1 metrics with', output)


def test_ochuman_is_tested_with_the_weights_of_coco():
    configs = REPO / 'configs'
    ochuman = configs / 'ochuman/td-hm_mipnet-res50_8xb64-210e_ochuman-256x192.py'
    coco = configs / 'coco/td-hm_mipnet-res50_8xb64-210e_coco-256x192.py'
    assert check_configs.trained_config(ochuman) == coco
    assert check_configs.trained_config(coco) == coco
    for path in (configs / 'ochuman').glob('*.py'):
        assert check_configs.trained_config(path) != path


def test_missing_data_and_other_data_are_named(check, small_config, tmp_path):
    with pytest.raises(SystemExit, match='person_keypoints.json does not exist'):
        check(small_config, '--data', tmp_path / 'nothing')
    other = REPO / 'configs/synthcrowd/td-hm_res18-small_8e_synthcrowd-128x96.py'
    with pytest.raises(SystemExit, match='is tested on data/synthcrowd/'):
        check(other)
