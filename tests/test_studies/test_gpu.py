"""What a GPU has to show, in its smoke run on a CPU."""

import csv
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
    parts = [line for line in done.stdout.splitlines() if ': exit ' in line]
    assert len(parts) == 2 and all(': exit 0,' in part for part in parts), parts
    with (tmp_path / 'cost.csv').open() as file:
        rows = list(csv.DictReader(file))
    assert [(row['mode'], row['task'], row['variant']) for row in rows] == [
        (mode, task, variant)
        for mode in ('float32', 'AMP', 'compiled')
        for task in ('inference', 'step')
        for variant in ('stock', 'N = 2')
    ]
    assert {row['device'] for row in rows} == {'CPU'}
    stock, mipnet = (int(row['multiply-adds']) for row in rows[:2])
    # measured 1.483 with MIMBs half-way down: what is behind them runs twice
    assert 1.4 < mipnet / stock < 1.6
