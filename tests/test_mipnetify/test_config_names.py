"""How a person names a config."""

import re

import pytest

from mipnet_mmpose.mmpose_files import STOCK_CONFIGS, find_config

from ..conftest import REPO

STOCK = 'td-hm_hrnet-w32_8xb64-210e_coco-256x192'
STOCK_PATH = f'body_2d_keypoint/topdown_heatmap/coco/{STOCK}.py'
OURS = 'td-hm_mipnet-hrnet-w32_8xb64-210e_coco-256x192'


@pytest.mark.parametrize(
    ('name', 'path'),
    [
        (f'mmpose::{STOCK_PATH}', STOCK_CONFIGS / STOCK_PATH),
        (STOCK, STOCK_CONFIGS / STOCK_PATH),
        (OURS, REPO / 'configs' / 'coco' / f'{OURS}.py'),
        (f'coco/{OURS}.py', REPO / 'configs' / 'coco' / f'{OURS}.py'),
        (f'mipnet_mmpose::{OURS}', REPO / 'configs' / 'coco' / f'{OURS}.py'),
    ],
)
def test_a_name_of_mmposes_or_of_ours_finds_the_file(name, path):
    assert find_config(name).samefile(path)


def test_a_file_comes_before_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / f'{STOCK}.py'
    file.touch()
    assert find_config(file.name).samefile(file)


@pytest.mark.parametrize(
    ('name', 'message'),
    [
        (f'{STOCK}3', f'does not exist.*{STOCK}'),
        ('no/such/config.py', 'CONFIG no/such/config.py does not exist$'),
        ('ochuman', r'may be one of several\n.*ochuman.py\n.*ochuman.py'),
    ],
)
def test_what_is_not_found_or_not_clear_is_an_error_with_close_names(name, message):
    with pytest.raises(ValueError, match=re.compile(message, re.S)):
        find_config(name)
