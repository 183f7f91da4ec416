from collections.abc import Sequence
from typing import Any

import numpy as np
from mmengine.evaluator import BaseMetric
from mmpose.registry import METRICS


@METRICS.register_module()
def PrimaryInstanceMetric(metric: dict) -> BaseMetric:
    """Any stock metric, on the pose of λ = 0 of each box.

    For metrics that compare one pose with one person, such as PCK, AUC, EPE and
    NME. The stock metric itself is returned; it gets the pose of λ = 0 alone.

    Args:
        metric (dict): Config of the stock metric.

    Raises:
        ValueError: where the model gives no pose of λ = 0.

    Example::

        dict(type='PrimaryInstanceMetric', metric=dict(type='AUC'))
    """
    stock = METRICS.build(metric)
    process = stock.process

    def process_primary(data_batch: Any, data_samples: Sequence[dict]) -> None:
        process(data_batch, [_primary(sample) for sample in data_samples])

    stock.process = process_primary
    return stock


def _primary(sample: dict) -> dict:
    poses = sample['pred_instances']
    if 'lambdas' not in poses:  # a stock model's one pose
        return sample
    lambdas = np.asarray(poses['lambdas'])
    rows = np.flatnonzero(lambdas == 0)[:1]
    if not len(rows):
        raise ValueError(
            'PrimaryInstanceMetric takes the pose of lambda = 0, but the model answers '
            f'lambda = {lambdas.tolist()}: add 0 in use_lambdas'
        )
    return dict(sample, pred_instances={k: v[rows] for k, v in poses.items()})
