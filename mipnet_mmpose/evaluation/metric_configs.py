"""The metrics inside the config of an evaluator.

MMEngine and MMPose take one metric, a list of them, or an evaluator that has
``metrics``, again one or a list: ``dict(metrics=[...])``, ``type='Evaluator'``,
``type='MultiDatasetEvaluator'``.
"""

from collections.abc import Iterator
from typing import Any


def metric_configs(evaluator: Any, key: str) -> Iterator[tuple[str, dict]]:
    """The config of each metric, and of the stock metric that one wraps.

    Args:
        evaluator (dict | Sequence | None): Config of an evaluator.
        key (str): Its config key, such as ``'test_evaluator'``.

    Yields:
        tuple[str, dict]: config key and config, such as
        ``'test_evaluator.metrics.0'``.
    """
    if isinstance(evaluator, (list, tuple)):
        for i, metric in enumerate(evaluator):
            yield from metric_configs(metric, f'{key}.{i}')
    elif isinstance(evaluator, dict) and 'metrics' in evaluator:
        yield from metric_configs(evaluator['metrics'], f'{key}.metrics')
    elif isinstance(evaluator, dict) and evaluator:
        yield key, evaluator
        yield from metric_configs(evaluator.get('metric'), f'{key}.metric')
