import copy
import json
import logging

import numpy as np
import pytest
import torch
import torch.distributed as dist
from mmengine import load
from mmengine.evaluator import BaseMetric, Evaluator
from mmengine.logging import MMLogger
from mmengine.structures import InstanceData
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import METRICS
from mmpose.structures import PoseDataSample

from mipnet_mmpose.models.heads.mipnet_head import BoxInstances

METAINFO = parse_pose_metainfo(dict(from_file='configs/_base_/datasets/mpii.py'))
FACE = parse_pose_metainfo(dict(from_file='configs/_base_/datasets/wflw.py'))
STOCK = [
    dict(type='PCKAccuracy', thr=0.2),
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


def box_samples(lambdas=(0, 1), num=12, num_keypoints=16):
    """What a model gives for some boxes; the pose of λ = 0 is always the same."""
    rng = np.random.default_rng(0)
    samples = []
    for _ in range(num):
        truth = rng.uniform(20, 180, (1, num_keypoints, 2)).astype('f4')
        gt = InstanceData(
            keypoints=truth,
            keypoints_visible=rng.integers(0, 2, (1, num_keypoints)).astype('f4'),
            bboxes=np.array([[10, 10, 190, 190]], 'f4'),
            head_size=np.array([30], 'f4'),
        )
        primary = truth + rng.normal(0, 12, truth.shape).astype('f4')
        other = np.random.default_rng(1).uniform(0, 200, truth.shape).astype('f4')
        poses = BoxInstances()
        poses.keypoints = np.concatenate([other if i else primary for i in lambdas])
        poses.keypoint_scores = np.ones((len(lambdas), num_keypoints), 'f4')
        poses.lambdas = np.array(lambdas, 'f4')
        poses.bboxes = gt.bboxes
        samples.append(PoseDataSample(gt_instances=gt, pred_instances=poses))
    return samples


def one_pose(samples):
    """What a stock model would give that answers the poses of λ = 0."""
    samples = copy.deepcopy(samples)
    for sample in samples:
        poses = sample.pred_instances
        poses = InstanceData(**{k: v[poses.lambdas == 0] for k, v in poses.items()})
        del poses.lambdas
        sample.pred_instances = poses
    return samples


def evaluate(metrics, samples, meta=METAINFO, size=None):
    evaluator = Evaluator(copy.deepcopy(metrics))
    evaluator.dataset_meta = copy.deepcopy(meta)
    for start in range(0, len(samples), 5):
        evaluator.process(samples[start : start + 5])
    return evaluator.evaluate(size or len(samples))


def primary(metric):
    return dict(type='PrimaryInstanceMetric', metric=metric)


@pytest.mark.parametrize('metric', STOCK, ids=lambda m: m['type'])
@pytest.mark.parametrize('lambdas', [(0, 1), (1, 0.5, 0)])
def test_result_is_the_stock_metrics_on_the_primary_poses(metric, lambdas):
    samples = box_samples(lambdas)
    expected = evaluate(metric, one_pose(samples))
    assert max(expected.values()) > 0
    np.testing.assert_equal(evaluate(primary(metric), samples), expected)


def test_default_of_a_dataset_is_taken():
    metric = dict(type='NME', norm_mode='keypoint_distance')
    samples = box_samples(num_keypoints=98)
    expected = evaluate(metric, one_pose(samples), FACE)
    assert evaluate(primary(metric), samples, FACE) == expected


def test_list_of_metrics_keeps_prefixes_and_drops_padding():
    metrics = [
        dict(type='PCKAccuracy', prefix='loose', thr=0.2),
        dict(type='PCKAccuracy', prefix='tight', thr=0.05),
        dict(type='EPE'),
    ]
    samples = box_samples()
    expected = evaluate(metrics, one_pose(samples), size=9)
    assert set(expected) == {'loose/PCK', 'tight/PCK', 'EPE'}
    assert evaluate(metrics, one_pose(samples)) != expected
    ours = [primary(metric) for metric in metrics]
    assert evaluate(ours, samples, size=9) == expected


def evaluate_rank(rank, folder, padded):
    dist.init_process_group(
        'gloo', init_method=f'file://{folder}/init', rank=rank, world_size=2
    )
    samples = box_samples(num=11)
    samples += samples[:1] if padded else []
    metrics = [primary(metric) for metric in STOCK[4:6]]
    result = evaluate(metrics, samples[rank::2], size=11)
    (folder / f'{rank}.json').write_text(json.dumps(result))


@pytest.mark.parametrize('padded', [True, False])
def test_two_processes_give_the_result_of_one(tmp_path, padded):
    context = torch.multiprocessing.get_context('fork')
    ranks = [
        context.Process(target=evaluate_rank, args=(i, tmp_path, padded))
        for i in range(2)
    ]
    for rank in ranks:
        rank.start()
    for rank in ranks:
        rank.join(60)
    expected = evaluate(STOCK[4:6], one_pose(box_samples(num=11)))
    for i in (0, 1):
        result = json.loads((tmp_path / f'{i}.json').read_text())
        assert result == pytest.approx(expected)


def test_poses_of_a_stock_model_pass_through():
    samples = one_pose(box_samples())
    assert evaluate(primary(STOCK[0]), samples) == evaluate(STOCK[0], samples)


def test_metric_can_be_evaluated_again():
    evaluator = Evaluator(primary(STOCK[0]))
    evaluator.dataset_meta = METAINFO
    results = []
    for _ in range(2):
        evaluator.process(box_samples())
        results.append(evaluator.evaluate(12))
    assert results[0] == results[1]


def test_one_line_of_the_log_says_which_pose_is_taken():
    lines = []
    handler = logging.Handler()
    handler.emit = lambda record: lines.append(record.getMessage())
    logger = MMLogger.get_current_instance()
    logger.addHandler(handler)
    try:
        evaluate([primary(STOCK[0]), primary(dict(type='AUC'))], box_samples())
    finally:
        logger.removeHandler(handler)
    lines = [line for line in lines if 'lambda' in line]
    assert lines == [
        'PCKAccuracy takes one pose per box: lambda = 0',
        'AUC takes one pose per box: lambda = 0',
    ]


def test_missing_primary_pose_is_named():
    with pytest.raises(ValueError, match=r'lambda = 0\.5, 1: add 0 to the lambdas'):
        evaluate(primary(STOCK[0]), box_samples((0.5, 1)))


@pytest.mark.parametrize('metric', STOCK, ids=lambda m: m['type'])
def test_bare_stock_metric_is_refused(metric):
    message = r"gives 2: use .*dict\(type='PrimaryInstanceMetric', metric=dict"
    with pytest.raises(ValueError, match=message):
        evaluate(metric, box_samples())


@pytest.mark.parametrize('name', ['CocoMetric', 'CocoWholeBodyMetric'])
def test_bare_coco_metric_is_refused(name):
    metric = METRICS.build(dict(type=name))
    sample = box_samples()[0].to_dict()
    with pytest.raises(ValueError, match="type='MultiInstanceCocoMetric'"):
        metric.process([], [sample])


def test_metric_registered_later_is_refused():
    class Late(BaseMetric):
        def process(self, data_batch, data_samples):
            self.results += [s['pred_instances'].get('keypoints') for s in data_samples]

        def compute_metrics(self, results):
            return dict(number=len(results))

    METRICS.register_module(module=Late, name='LateMetric')
    try:
        assert evaluate(dict(type='LateMetric'), box_samples((0,))) == dict(number=12)
        assert evaluate(primary(dict(type='LateMetric')), box_samples()) == dict(
            number=12
        )
        with pytest.raises(ValueError, match='takes one pose per box'):
            evaluate(dict(type='LateMetric'), box_samples())
    finally:
        METRICS.module_dict.pop('LateMetric')


def test_results_can_be_dumped(tmp_path):
    """mmengine's metric that keeps everything keeps all poses."""
    file = str(tmp_path / 'results.pkl')
    samples = box_samples()
    evaluate(dict(type='DumpResults', out_file_path=file), samples)
    for dumped, sample in zip(load(file), samples):
        np.testing.assert_array_equal(
            dumped['pred_instances']['keypoints'], sample.pred_instances.keypoints
        )
