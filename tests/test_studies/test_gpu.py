"""What a GPU has to show, in its smoke run on a CPU."""

import os
import subprocess
import sys

import pytest

from ..conftest import REPO


@pytest.mark.slow
def test_smoke_run_writes_every_table(tmp_path):
    done = subprocess.run(
        ['bash', str(REPO / 'studies' / 'gpu.sh'), str(tmp_path), '--smoke'],
        env=dict(os.environ, PYTHON=sys.executable, CUDA_VISIBLE_DEVICES=''),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    for name in ('cost', 'step'):
        text = (tmp_path / f'{name}.md').read_text()
        assert 'GPU: none (CPU)' in text and text in done.stdout
        assert '| float32 | stock |' in text and '| float32 | 2 |' in text
