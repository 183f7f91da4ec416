"""The quickstart from end to end, with too few images to learn anything."""

import json
import os
import subprocess
import sys

import pytest

from ..conftest import REPO


def quickstart(out, *args):
    command = [sys.executable, str(REPO / 'tools' / 'quickstart.py'), '--out', str(out)]
    return subprocess.run(
        [*command, *args],
        env=dict(os.environ, CUDA_VISIBLE_DEVICES='', OMP_NUM_THREADS='1'),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
def test_photograph_then_table(tmp_path):
    small = ['--images', '12', '--test-images', '8', '--epochs', '1']
    done = quickstart(tmp_path, *small)
    assert done.returncode == 0, done.stdout[-3000:]
    assert (tmp_path / 'demo' / 'results.json').is_file()
    rows = [line for line in done.stdout.splitlines() if line.startswith('| ')]
    assert len(rows) == 1 + 1 + 2 * 2 * 2
    assert (tmp_path / 'table.md').read_text().strip() in done.stdout
    boxes = json.loads((tmp_path / 'data/val/one_box_per_pair.json').read_text())
    assert len(boxes) == 8  # one for each pair
    # figures of other settings would be mixed with these
    other = quickstart(tmp_path, *small, '--seed', '1')
    assert other.returncode == 1 and 'give another --out' in other.stdout
