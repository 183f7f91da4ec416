from typing import Any, Dict, Optional, Sequence

import numpy as np
from mmengine.evaluator import BaseMetric
from mmengine.logging import print_log
from mmpose.registry import METRICS

from .ground_truth import check_metric
from .pad_results import pad_results


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
        self._has_told = False

    @property
    def dataset_meta(self) -> Optional[dict]:
        """dict: of the stock metric."""
        return self.metric.dataset_meta

    @dataset_meta.setter
    def dataset_meta(self, dataset_meta: dict) -> None:
        self.metric.dataset_meta = dataset_meta
        check_metric(self.metric)

    def process(self, data_batch: Any, data_samples: Sequence[dict]) -> None:
        """Hand the stock metric the samples with the pose of λ = 0 alone."""
        self.metric.process(data_batch, [self._primary(s) for s in data_samples])

    def compute_metrics(self, results: list) -> Dict[str, float]:
        """As the stock metric."""
        return self.metric.compute_metrics(results)

    def evaluate(self, size: int) -> Dict[str, float]:
        """As the stock metric."""
        pad_results(self.metric.results, size)
        return self.metric.evaluate(size)

    def _primary(self, sample: dict) -> dict:
        poses = dict(sample['pred_instances'])  # of all λ, see SeveralPoses
        if 'lambdas' not in poses:  # a stock model's one pose
            return sample
        lambdas = np.asarray(poses['lambdas'])
        row = int(np.argmax(lambdas == 0))
        if lambdas[row] != 0:
            raise ValueError(
                'val_evaluator / test_evaluator: PrimaryInstanceMetric takes the pose '
                'of lambda = 0, but the model answers lambda = '
                f'{", ".join(f"{value:g}" for value in lambdas)}: add 0 to '
                'the lambdas of model.neck or model.backbone'
            )
        if len(lambdas) > 1 and not self._has_told:
            self._has_told = True
            print_log(
                f'{type(self.metric).__name__} takes one pose per box: lambda = 0',
                'current',
            )
        poses = {key: value[row : row + 1] for key, value in poses.items()}
        return dict(sample, pred_instances=poses)
