import pytest
from mmengine.evaluator import BaseMetric
from mmpose.registry import METRICS

PRIMARY = dict(type='PrimaryInstanceMetric', metric=dict(type='AUC'))
OURS = [dict(type='MultiInstanceCocoMetric'), PRIMARY]


@pytest.mark.parametrize('cfg', OURS, ids=lambda cfg: cfg['type'])
@pytest.mark.parametrize(('stored', 'size'), [(3, 7), (4, 7), (4, 8)])
def test_each_of_two_processes_gives_as_many(monkeypatch, cfg, stored, size):
    """mmengine before 0.10.3 loses what one has more than the other."""
    module = 'mipnet_mmpose.evaluation.pad_results.get_world_size'
    monkeypatch.setattr(module, lambda: 2)
    monkeypatch.setattr(BaseMetric, 'evaluate', lambda self, size: self.results)
    metric = METRICS.build(cfg)
    metric.results += range(stored)
    results = metric.evaluate(size)
    assert results[:stored] == list(range(stored))
    assert results[stored:] == ([2] if stored == 3 else [])


@pytest.mark.parametrize('cfg', OURS, ids=lambda cfg: cfg['type'])
def test_a_process_without_any_sample_has_nothing_to_repeat(monkeypatch, cfg):
    """One sample, two processes: the sampler gives the second one nothing."""
    module = 'mipnet_mmpose.evaluation.pad_results.get_world_size'
    monkeypatch.setattr(module, lambda: 2)
    seen = []
    monkeypatch.setattr(BaseMetric, 'evaluate', lambda self, size: seen.append(size))
    metric = METRICS.build(cfg)
    metric.evaluate(1)
    assert seen == [1] and metric.results == []
