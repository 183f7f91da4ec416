"""The same figures again, whatever the order of predictions."""

import numpy as np
from mmpose.registry import METRICS

from ..conftest import person
from .test_multi_instance_coco_metric import METAINFO, sample


def test_evaluation_knows_no_order():
    """Predictions in any order and any batches, many of equal score."""
    rng = np.random.default_rng(0)
    people = [person(i, i // 4, 10, 10, 60, 80, seed=i % 7) for i in range(40)]
    samples = [
        sample(ann, ann['id'], rng.uniform(10, 80, (2, 17, 2)).round(-1), [0.5, 0.5])
        for ann in people
    ]

    def evaluate(order, batch_size):
        metric = METRICS.build(dict(type='MultiInstanceCocoMetric', score_decay=1.0))
        metric.dataset_meta = dict(METAINFO)
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            metric.process([], [samples[i] for i in chosen])
        return metric.evaluate(len(samples))

    expected = evaluate(np.arange(40), 40)
    assert any(value > 0 for value in expected.values())
    for batch_size in (1, 7):
        assert evaluate(rng.permutation(40), batch_size) == expected
