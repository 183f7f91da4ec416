"""The quickstart from end to end, with too few images to learn anything."""

import json
import os
import subprocess
import sys

import cv2
import pytest

from ..conftest import REPO, load_tool


def quickstart(out, *args):
    result = subprocess.run(
        [
            sys.executable,
            str(REPO / 'tools' / 'quickstart.py'),
            '--out',
            str(out),
            *args,
        ],
        env=dict(os.environ, CUDA_VISIBLE_DEVICES='', OMP_NUM_THREADS='1'),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-3000:]
    return result.stdout


@pytest.mark.slow
def test_table_and_picture_are_written(tmp_path):
    small = ['--images', '12', '--test-images', '8', '--epochs', '1']
    output = quickstart(tmp_path, *small)
    rows = [line for line in output.splitlines() if line.startswith('| ')]
    assert len(rows) == 1 + 1 + 2 * 2 * 2
    assert (tmp_path / 'table.md').read_text().strip() in output
    assert cv2.imread(str(tmp_path / 'compare.png')).shape[1] == 2 * 4 * 192 + 16
    boxes = json.loads((tmp_path / 'data/val/one_box_per_pair.json').read_text())
    assert len(boxes) == 8  # one for each pair


def test_every_head_has_a_baseline_and_a_mipnet():
    for configs in load_tool('quickstart').MODELS.values():
        assert list(configs) == ['baseline', 'MIPNet']
        assert all(path.is_file() for path in configs.values())
