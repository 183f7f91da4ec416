import copy

import numpy as np
import pytest
from mmengine.evaluator import Evaluator
from mmengine.structures import InstanceData
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.structures import PoseDataSample

METAINFO = parse_pose_metainfo(dict(from_file='configs/_base_/datasets/mpii.py'))
STOCK = [
    dict(type='PCKAccuracy', thr=0.2, norm_item=['bbox', 'head', 'torso']),
    dict(type='MpiiPCKAccuracy'),
    dict(type='JhmdbPCKAccuracy', thr=0.2, norm_item=['bbox', 'torso']),
    dict(type='AUC'),
    dict(type='EPE'),
    dict(type='NME', norm_mode='use_norm_item', norm_item='bbox_size'),
    dict(type='NME', norm_mode='keypoint_distance', keypoint_indices=[0, 5]),
    dict(
        type='KeypointPartitionMetric',
        metric=dict(type='EPE'),
        partitions=dict(legs=list(range(6)), all=list(range(16))),
    ),
]


def box_samples(lambdas=(0, 1), num=12):
    """What a model gives for some boxes; the pose of λ = 0 is always the same."""
    rng = np.random.default_rng(0)
    samples = []
    for _ in range(num):
        truth = rng.uniform(20, 180, (1, 16, 2)).astype('f4')
        gt = InstanceData(
            keypoints=truth,
            keypoints_visible=rng.integers(0, 2, (1, 16)).astype('f4'),
            bboxes=np.array([[10, 10, 190, 190]], 'f4'),
            head_size=np.array([30], 'f4'),
        )
        primary = truth + rng.normal(0, 12, truth.shape).astype('f4')
        other = np.random.default_rng(1).uniform(0, 200, truth.shape).astype('f4')
        poses = InstanceData(
            keypoints=np.concatenate([other if i else primary for i in lambdas]),
            keypoint_scores=np.ones((len(lambdas), 16), 'f4'),
            lambdas=np.array(lambdas, 'f4'),
        )
        samples.append(PoseDataSample(gt_instances=gt, pred_instances=poses))
    return samples


def one_pose(samples):
    """What a stock model would give that answers the poses of λ = 0."""
    samples = copy.deepcopy(samples)
    for sample in samples:
        poses = sample.pred_instances
        sample.pred_instances = poses[poses.lambdas == 0]
        del sample.pred_instances.lambdas
    return samples


def evaluate(metrics, samples, size=None):
    evaluator = Evaluator(copy.deepcopy(metrics))
    evaluator.dataset_meta = copy.deepcopy(METAINFO)
    for start in range(0, len(samples), 5):
        evaluator.process(samples[start : start + 5])
    return evaluator.evaluate(size or len(samples))


def primary(metric):
    return dict(type='PrimaryInstanceMetric', metric=metric)


@pytest.mark.parametrize('metric', STOCK, ids=lambda m: m['type'])
def test_result_is_the_stock_metrics_on_the_primary_poses(metric):
    samples = box_samples((1, 0.5, 0))
    expected = evaluate(metric, one_pose(samples))
    assert max(expected.values()) > 0
    np.testing.assert_equal(evaluate(primary(metric), samples), expected)


def test_list_of_metrics_keeps_prefixes_and_drops_padding():
    metrics = [dict(type='PCKAccuracy', prefix='tight', thr=0.05), dict(type='EPE')]
    samples = box_samples()
    expected = evaluate(metrics, one_pose(samples), size=9)
    assert set(expected) == {'tight/PCK', 'EPE'}
    assert evaluate(metrics, one_pose(samples)) != expected
    ours = [primary(metric) for metric in metrics]
    assert evaluate(ours, samples, size=9) == expected


def test_a_stock_model_passes_and_a_missing_primary_pose_is_named():
    samples = one_pose(box_samples())
    assert evaluate(primary(STOCK[0]), samples) == evaluate(STOCK[0], samples)
    with pytest.raises(ValueError, match=r'lambda = \[0\.5, 1\.0\]: add 0'):
        evaluate(primary(STOCK[0]), box_samples((0.5, 1)))


@pytest.mark.parametrize('metric', STOCK, ids=lambda m: m['type'])
def test_stock_metric_of_one_pose_stops_at_several(metric):
    """Without MIPNetCheckHook, which puts PrimaryInstanceMetric around it."""
    with pytest.raises((IndexError, ValueError)):
        evaluate(metric, box_samples())
