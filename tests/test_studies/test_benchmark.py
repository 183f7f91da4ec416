"""What studies/benchmark.py measures, keeps and writes."""

import json
import time
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from mmpose.registry import MODELS
from torch import nn

from ..conftest import estimator_config, load_tool, needs_torch_2, train_pipeline

benchmark = load_tool('benchmark')
memory = load_tool('benchmark_memory')
networks = load_tool('benchmark_networks')
tables = load_tool('benchmark_tables')
QUICK = ['inference', 'training', 'pipeline', 'nms', 'metric']


@pytest.fixture(autouse=True)
def small_pictures(monkeypatch):
    monkeypatch.setattr(networks, 'PICTURES', 2)
    monkeypatch.setattr(networks, 'PICTURE_SIZE', (160, 120))


@pytest.fixture
def config(tmp_path):
    """The file of a small stock config."""
    dataset = dict(type='CocoDataset', ann_file='a.json', pipeline=train_pipeline())
    path = tmp_path / 'small.py'
    Config(
        dict(
            model=estimator_config(where=None),
            train_dataloader=dict(dataset=dataset),
            optim_wrapper=dict(optimizer=dict(type='Adam', lr=1e-3)),
        )
    ).dump(path)
    return str(path)


def run(tmp_path, *arguments):
    out = tmp_path / 'results.json'
    benchmark.main(['--out', str(out), '--batch', '2', '--rounds', '1', *arguments])
    return json.loads(out.read_text())['results']


def test_each_part_is_measured_and_gets_its_table(config, tmp_path, capsys):
    doc = tmp_path / 'doc.md'
    places = ['machine', *QUICK]
    doc.write_text(
        ''.join(f'<!-- table: cpu {p} -->\n{p} old\n<!-- end -->\n' for p in places)
    )
    results = run(tmp_path, '--models', config, '--only', *QUICK, '--metric-images',
                  '3', '--doc', str(doc))  # fmt: skip
    assert list(results) == QUICK
    for part in ('inference', 'training', 'pipeline'):
        (result,) = results[part].values()
        assert result['baseline']['seconds'] > 0 and result['N = 2']['ratio'] > 0
    (inference,) = results['inference'].values()
    assert 1 < inference['N = 2']['multiply_adds'] < inference['N = 4']['multiply_adds']
    assert results['nms']['200 poses']['kept'] == 150
    text = doc.read_text()
    assert 'old' not in text and text.count('| small |') == 3
    lines = capsys.readouterr().out.splitlines()
    assert lines[-2:] == [str(tmp_path / 'results.json'), str(doc)]


@pytest.mark.slow
def test_memory_is_that_of_a_process_with_nothing_else(config, tmp_path):
    cfg = networks.stock_config(config, tmp_path / 'pictures')
    peak = memory.peak_memory(cfg, benchmark.parse_args(['--batch', '2']))
    weights = 4 * sum(p.numel() for p in MODELS.build(cfg.model).parameters())
    assert 4 * weights < peak < 2e8  # this process has more; Adam holds three copies


def test_resident_peak_counts_bytes():
    # Linux forgets the peak of all that ran in this process before
    Path('/proc/self/clear_refs').write_text('5')
    before = memory.resident_peak()
    held = b'1' * 2**29
    assert memory.resident_peak() - before == pytest.approx(len(held), rel=0.02)


def test_a_ratio_is_of_the_baseline_in_the_same_round(monkeypatch):
    monkeypatch.setattr(time, 'process_time', time.perf_counter)  # which sleep stops
    args = benchmark.parse_args(['--rounds', '3'])
    calls = {'baseline': lambda: time.sleep(0.01), 'N = 2': lambda: time.sleep(0.03)}
    result = networks.compare(calls, args)
    assert result['baseline']['seconds'] == pytest.approx(0.01, rel=0.5)
    assert result['N = 2']['ratio'] == pytest.approx(3, rel=0.5)


@needs_torch_2
def test_graph_breaks_are_counted(config, tmp_path, monkeypatch):
    class Broken(nn.Conv2d):
        def forward(self, x):
            x = super().forward(x)
            if self.training:
                torch._dynamo.graph_break()
            return x + 1

    monkeypatch.setattr(networks, 'build_network', lambda *args: Broken(3, 1, 1))
    cfg = networks.stock_config(config, tmp_path / 'pictures')
    result = networks.graph(cfg, benchmark.parse_args(['--batch', '2']))
    assert result['baseline'] == result['N = 2'] == dict(inference=0, training=1)


@pytest.mark.slow
@needs_torch_2
def test_the_network_is_one_graph_with_the_same_output():
    torch._dynamo.reset()
    network = networks.Network(MODELS.build(estimator_config('backbone')))
    images = torch.randn(2, 3, 128, 96)
    compiled = torch.compile(network, backend='eager', fullgraph=True)
    with torch.no_grad():
        if torch.__version__ < '2.2':  # leaves out the hooks of a Sequential
            with pytest.raises(Exception, match='passed a MIMB|RuntimeError|raise'):
                compiled(images)
        else:
            torch.testing.assert_close(compiled(images), network(images))


def test_a_faster_mode_answers_nearly_the_same(config, tmp_path):
    cfg = networks.stock_config(config, tmp_path / 'pictures')
    images = torch.randn(2, 3, 128, 96)
    torch.manual_seed(0)
    slow = networks.inference_call(cfg, images)()
    torch.manual_seed(0)
    fast = networks.inference_call(cfg, images, bfloat16=True, channels_last=True)()
    assert fast.dtype == torch.bfloat16
    assert (fast - slow).abs().max() < 0.1 * slow.abs().max()


def test_targets_are_compared_with_what_was_measured():
    parts = ('inference', 'hrnet-w32', 'N = 2'), ('memory', 'hrnet-w32', 'N = 2')
    results = {part: {model: {name: dict(ratio=1.4)}} for part, model, name in parts}
    slow, small = tables.target_table(results).splitlines()[2:]
    assert '1.38' in slow and slow.endswith('**no** |')
    assert '1.5' in small and small.endswith('yes |')


def test_results_are_added_to_those_of_the_same_settings_only(tmp_path):
    first = run(tmp_path, '--only', 'nms')
    second = run(tmp_path, '--only', 'metric', '--metric-images', '2')
    assert second['nms'] == first['nms'] and len(second) == 2
    with pytest.raises(SystemExit, match='batch = 2, not 3: name another file'):
        run(tmp_path, '--only', 'nms', '--batch', '3')


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        (['--only', 'speed'], "argument --only: invalid choice: 'speed'"),
        (['--only', 'throughput'], '--only throughput needs --device cuda'),
        (['--models', 'hrnet-w99'], "'hrnet-w99' is neither one of hrnet-w32"),
        (['--rounds', '0'], "argument --rounds: '0' is not a number of at least 1"),
        (['--doc', 'no.md'], '--doc no.md does not exist'),
    ],
)
def test_bad_arguments_are_named(arguments, message, capsys):
    with pytest.raises(SystemExit):
        benchmark.main(arguments)
    assert message in capsys.readouterr().err


@pytest.mark.skipif(torch.cuda.is_available(), reason='there is a GPU')
def test_a_missing_gpu_is_named(capsys):
    with pytest.raises(SystemExit):
        benchmark.main(['--device', 'cuda'])
    assert '--device cuda: torch sees no GPU' in capsys.readouterr().err
