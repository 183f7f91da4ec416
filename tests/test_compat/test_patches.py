"""What is changed outside of the package: once, only where needed, not if unwanted."""

import functools
import json
import os
import subprocess
import sys

import mmpose
import pytest
from mmengine.fileio import LocalBackend
from mmengine.utils import digit_version

from mipnet_mmpose.compat import PATCHES
from mipnet_mmpose.compat.patches import MARK, replace_once, wanted_patches

from ..conftest import REPO

PROGRAM = """
import json, sys
import mmengine.fileio, mipnet_mmpose.compat.mmcv_stand_in as stand_in
stand_in.install_mmcv_ext()
import mipnet_mmpose, mmpose.apis.inference
from mmpose.datasets.transforms import KeypointConverter
functions = dict(
    whole_checkpoints=mmengine.fileio.LocalBackend.put,
    keypoint_converter=KeypointConverter.transform,
    dataset_meta=mmpose.apis.inference.dataset_meta_from_config)
json.dump([n for n, f in functions.items() if hasattr(f, '_mipnet_mmpose_compat')],
          sys.stdout)
"""
PATCHED = ['whole_checkpoints', 'keypoint_converter', 'dataset_meta']


@pytest.mark.parametrize('value', ['', '-keypoint_converter'])
def test_a_change_can_be_switched_off(value):
    environment = dict(os.environ, MIPNET_COMPAT=value, PYTHONPATH=str(REPO))
    output = subprocess.check_output([sys.executable, '-c', PROGRAM], env=environment)
    left = [name for name in PATCHED if f'-{name}' != value]
    if digit_version(mmpose.__version__) < digit_version('1.3.0'):
        left = [name for name in left if name != 'keypoint_converter']
    assert json.loads(output) == left


def test_names_of_changes_are_read(monkeypatch):
    for value, left_out in (
        ('', set()),
        ('1', set()),
        ('0', set(PATCHES)),
        ('-mmcv_ext, -dataset_meta', {'mmcv_ext', 'dataset_meta'}),
    ):
        monkeypatch.setenv('MIPNET_COMPAT', value)
        assert wanted_patches(PATCHES) == set(PATCHES) - left_out
    for wrong in ('-converter', 'keypoint_converter', '2'):
        monkeypatch.setenv('MIPNET_COMPAT', wrong)
        with pytest.raises(ValueError, match='keypoint_converter'):
            wanted_patches(PATCHES)


def test_a_function_that_somebody_else_wrapped_is_still_replaced_once():
    class Stock:
        def number(self):
            return 1

    stock = Stock.number
    Stock.number = functools.wraps(stock)(lambda self: stock(self) + 1)

    def tens(inner):
        return lambda self: 10 * inner(self)

    assert replace_once(Stock, 'number', tens)
    assert not replace_once(Stock, 'number', tens)
    assert Stock().number() == 20
    assert hasattr(Stock.number, MARK)


def test_a_failed_write_leaves_the_old_file_and_no_part(tmp_path):
    path = tmp_path / 'epoch_1.pth'
    backend = LocalBackend()
    backend.put(b'whole', str(path))
    assert path.read_bytes() == b'whole'
    with pytest.raises(TypeError):
        backend.put('text where bytes must be', str(path))
    assert path.read_bytes() == b'whole'
    assert [file.name for file in tmp_path.iterdir()] == ['epoch_1.pth']


def test_every_change_is_in_the_table_of_the_docs():
    text = (REPO / 'docs' / 'reliability.md').read_text()
    section = text.partition('## Changes to other packages')[2].partition('\n## ')[0]
    rows = [row for row in section.splitlines() if row.startswith('| `')]
    assert [row.split('`')[1] for row in rows] == list(PATCHES)
