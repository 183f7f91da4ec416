"""What studies/benchmark.py writes, of a small network."""

import csv

import pytest

from ..conftest import load_tool

NETWORK = 'simcc_mobilenetv2_wo-deconv-8xb64-210e_coco-256x192'


@pytest.mark.slow
def test_a_mipnet_beside_the_stock_network(tmp_path, monkeypatch):
    study = load_tool('benchmark')
    two = {name: study.VARIANTS[name] for name in ('stock', 'N = 2')}
    monkeypatch.setattr(study, 'VARIANTS', two)
    out = tmp_path / 'table.csv'
    arguments = ['--networks', NETWORK, '--batch', '2', '--rounds', '1']
    study.main([*arguments, '--out', str(out)])
    with out.open() as file:
        stock, mipnet = csv.DictReader(file)
    # measured 1.483 with MIMBs half-way down: the layers behind them run twice
    assert 1.4 < int(mipnet['multiply-adds']) / int(stock['multiply-adds']) < 1.6
    assert stock['time'] == stock['step'] == '1.0'
    weights = 4 * int(stock['parameters'])  # Adam holds them three times
    assert 4 * weights < int(stock['memory']) < int(mipnet['memory'])
