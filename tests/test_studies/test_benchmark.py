"""What studies/benchmark.py writes, of a small network."""

import csv

import pytest

from ..conftest import load_tool

NETWORK = 'simcc_mobilenetv2_wo-deconv-8xb64-210e_coco-256x192'


@pytest.mark.slow
def test_every_variant_beside_the_stock_network(tmp_path):
    out = tmp_path / 'table.csv'
    arguments = ['--networks', NETWORK, '--batch', '2', '--rounds', '1']
    load_tool('benchmark').main([*arguments, '--out', str(out)])
    with out.open() as file:
        lines = {line['variant']: line for line in csv.DictReader(file)}
    counts = {name: int(line['multiply-adds']) for name, line in lines.items()}
    assert counts['N = 2'] / counts['stock'] == pytest.approx(1.481, abs=1e-3)
    assert (
        counts['stock'] < counts['N = 2, MIMBNeck'] < counts['N = 2'] < counts['N = 4']
    )
    assert lines['stock']['time'] == lines['stock']['step'] == '1.0'
    weights = 4 * int(lines['stock']['parameters'])  # Adam holds them three times
    assert 4 * weights < int(lines['stock']['memory']) < int(lines['N = 4']['memory'])
