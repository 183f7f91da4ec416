from collections.abc import Sequence
from typing import Any, Optional

import numpy as np
from mmengine.evaluator import BaseMetric
from mmpose.registry import METRICS


@METRICS.register_module()
class PrimaryInstanceMetric(BaseMetric):
    """Any stock metric, on the pose of λ = 0 of each box.

    For metrics that compare one pose with one person, such as PCK, AUC, EPE and
    NME. The stock metric gets each sample with the pose of λ = 0 alone and does
    the rest, so its name, prefix and results are its own.

    Args:
        metric (dict): Config of the stock metric.

    Raises:
        ValueError: where the model gives no pose of λ = 0.

    Example::

        val_evaluator = [
            dict(type='PrimaryInstanceMetric', metric=dict(type='PCKAccuracy')),
            dict(type='PrimaryInstanceMetric', metric=dict(type='AUC')),
        ]
    """

    def __init__(self, metric: dict):
        self.metric = METRICS.build(metric)
        super().__init__(self.metric.collect_device, self.metric.prefix)
        self.results = self.metric.results

    @property
    def dataset_meta(self) -> Optional[dict]:
        """dict: of the stock metric."""
        return self.metric.dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        self.metric.dataset_meta = dataset_meta

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Hand the stock metric the samples with the pose of λ = 0 alone."""
        self.metric.process(data_batch, [_primary(s) for s in data_samples])

    def compute_metrics(self, results: list) -> dict[str, float]:
        """As the stock metric."""
        return self.metric.compute_metrics(results)

    def evaluate(self, size: int) -> dict[str, float]:
        """As the stock metric."""
        return self.metric.evaluate(size)


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
