import json
from pathlib import Path

import numpy as np
import pytest
from mmengine.logging import MMLogger
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import METRICS

from ..conftest import person

METAINFO = parse_pose_metainfo(dict(from_file='configs/_base_/datasets/coco.py'))
METAINFO['dataset_name'] = 'metric_test'  # no annotation file is noted for it
METAINFO['CLASSES'] = [dict(id=1, name='person')]


def keypoints_of(annotation):
    return np.reshape(annotation['keypoints'], (17, 3))[:, :2].astype('f4')


def sample(annotation, box_id, poses, scores, lambdas=True, box_score=1.0):
    """What the model gives for the box of one annotation."""
    left, top, width, height = annotation['bbox']
    num = len(poses)
    bboxes = np.array([[left, top, left + width, top + height]], 'f4')
    pred = dict(
        keypoints=np.array(poses, 'f4'),
        keypoint_scores=np.repeat(np.array(scores, 'f4')[:, None], 17, axis=1),
        bboxes=bboxes.repeat(num, axis=0),
        bbox_scores=np.full(num, box_score, 'f4'),
    )
    if lambdas:
        pred['lambdas'] = np.arange(num, dtype='f4')
    return dict(
        id=box_id,
        img_id=annotation['image_id'],
        pred_instances=pred,
        gt_instances=dict(bbox_scales=np.array([[width, height]], 'f4') * 1.25),
        ori_shape=(120, 160),
        crowd_index=0.3,
        raw_ann_info=annotation,
    )


def evaluate(samples, size=None, **cfg):
    cfg.setdefault('type', 'MultiInstanceCocoMetric')
    metric = METRICS.build(cfg)
    metric.dataset_meta = dict(METAINFO)
    metric.process([], samples)
    return metric.evaluate(size or len(samples))


@pytest.fixture
def pairs():
    """Twenty images with an overlapping pair each."""
    people = []
    for image_id in range(20):
        for i in range(2):
            people.append(
                person(
                    2 * image_id + i, image_id, 20 + 12 * i, 10, 60, 90, seed=image_id
                )
            )
    return people


@pytest.fixture
def ann_file(pairs, tmp_path):
    images = [
        dict(id=i, width=160, height=120, file_name=f'{i}', crowdIndex=i / 20)
        for i in range(20)
    ]
    path = tmp_path / 'annotations.json'
    category = dict(id=1, name='person')
    path.write_text(
        json.dumps(dict(images=images, annotations=pairs, categories=[category]))
    )
    return str(path)


def noisy(people, num, seed=0, sigma=4):
    rng = np.random.default_rng(seed)
    return [
        sample(
            a,
            a['id'],
            [keypoints_of(a) + rng.normal(0, sigma, (17, 2)) for _ in range(num)],
            rng.uniform(0.1, 1, num),
            box_score=rng.uniform(0.3, 1),
        )
        for a in people
    ]


@pytest.mark.parametrize(
    'score_mode', ['bbox', 'bbox_keypoint', 'bbox_rle', 'keypoint']
)
@pytest.mark.parametrize('nms_mode', ['oks_nms', 'soft_oks_nms', 'none'])
@pytest.mark.parametrize('with_file', [True, False])
def test_one_instance_is_the_stock_metric(
    pairs, ann_file, score_mode, nms_mode, with_file
):
    cfg = dict(score_mode=score_mode, nms_mode=nms_mode, nms_thr=0.6)
    if with_file:
        cfg['ann_file'] = ann_file
    stock = evaluate(noisy(pairs, 1), type='CocoMetric', **cfg)
    assert 0.1 < stock['coco/AP'] < 0.95
    assert evaluate(noisy(pairs, 1), **cfg) == stock


def test_one_instance_is_the_stock_metric_for_crowdpose(pairs, ann_file):
    cfg = dict(ann_file=ann_file, iou_type='keypoints_crowd', use_area=False)
    stock = evaluate(noisy(pairs, 1), type='CocoMetric', **cfg)
    assert 'crowdpose' not in str(stock) and stock['coco/AP(H)'] > 0
    assert evaluate(noisy(pairs, 1), **cfg) == stock


def test_converted_keypoints_are_evaluated_as_by_the_stock_metric(pairs, ann_file):
    converter = dict(
        type='KeypointConverter',
        num_keypoints=12,
        mapping=[(i, i - 5) for i in range(5, 17)],
    )
    cfg = dict(ann_file=ann_file, pred_converter=converter, gt_converter=converter)
    stock = evaluate(noisy(pairs, 1), type='CocoMetric', **cfg)
    cfg.update(type='MultiInstanceCocoMetric')
    metric = METRICS.build(cfg)
    metric.dataset_meta = dict(METAINFO)
    for _ in range(2):  # the stock metric converts again and fails
        metric.process([], noisy(pairs, 1))
        assert metric.evaluate(40) == stock


def one_box_per_pair(pairs):
    """λ = 0 the person of the box, λ = 1 the other one."""
    return [
        sample(a, a['id'], [keypoints_of(a), keypoints_of(b)], [0.9, 0.8])
        for a, b in zip(pairs[::2], pairs[1::2])
    ]


def test_second_person_survives_nms(pairs, ann_file):
    result = evaluate(one_box_per_pair(pairs), ann_file=ann_file, per_lambda=True)
    assert result['coco/AP'] == pytest.approx(1, abs=1e-6)
    assert result['coco/AR'] == 1
    assert result['coco/lambda0/AR'] == result['coco/lambda1/AR'] == 0.5


def test_each_lambda_alone_is_the_stock_metric_on_its_poses(pairs, ann_file):
    samples = noisy(pairs, 2, sigma=5)
    options = dict(ann_file=ann_file, per_lambda=True)
    result = evaluate(noisy(pairs, 2, sigma=5), **options)
    for i in range(2):
        for data in samples:
            pred = data['pred_instances']
            data['alone'] = {k: v[i : i + 1] for k, v in pred.items()}
        alone = [dict(data, pred_instances=data['alone']) for data in samples]
        stock = evaluate(alone, type='CocoMetric', ann_file=ann_file)
        for name, value in stock.items():
            assert result[name.replace('coco/', f'coco/lambda{i}/')] == pytest.approx(
                value, abs=1e-9
            )


def test_decay_ranks_a_confident_duplicate_below_the_person(pairs, ann_file):
    """λ = 1 wrongly repeats λ = 0 with a higher score, a little displaced."""
    samples = [
        sample(a, a['id'], [keypoints_of(a), keypoints_of(a) + 6], [0.6, 0.9])
        for a in pairs
    ]
    decayed = evaluate(samples, ann_file=ann_file, nms_mode='none')
    plain = evaluate(samples, ann_file=ann_file, nms_mode='none', score_decay=1.0)
    assert decayed['coco/AP'] > plain['coco/AP']


def test_boxes_repeated_by_padding_count_once(pairs, ann_file):
    samples = one_box_per_pair(pairs)
    once = evaluate(samples, ann_file=ann_file, nms_mode='none')
    twice = evaluate(samples + samples[:7], ann_file=ann_file, nms_mode='none')
    assert once == twice


def test_order_of_the_samples_does_not_matter(pairs, ann_file):
    samples = noisy(pairs, 2)
    assert evaluate(samples, ann_file=ann_file) == evaluate(
        samples[::-1], ann_file=ann_file
    )


def test_no_box_at_all_finds_nobody(ann_file):
    result = evaluate([], size=1, ann_file=ann_file)
    assert result['coco/AP'] == result['coco/AR'] == 0


def test_image_without_annotation_counts_against_precision(pairs, ann_file):
    samples = one_box_per_pair(pairs)
    data = json.loads(Path(ann_file).read_text())
    data['annotations'] = [a for a in data['annotations'] if a['image_id'] >= 10]
    Path(ann_file).write_text(json.dumps(data))
    result = evaluate(samples, ann_file=ann_file)
    assert result['coco/AR'] == 1
    assert result['coco/AP'] < 0.6


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_pose_that_is_not_finite_finds_nobody(pairs, ann_file, value, caplog):
    samples = one_box_per_pair(pairs)
    expected = evaluate(samples[:-2], ann_file=ann_file)
    for data, name in zip(samples[-2:], ('keypoints', 'keypoint_scores')):
        data['pred_instances'][name][:, 3] = value
    logger = MMLogger.get_current_instance()
    logger.addHandler(caplog.handler)
    try:
        assert evaluate(samples, ann_file=ann_file) == expected
    finally:
        logger.removeHandler(caplog.handler)
    assert '4 of 40 poses have a keypoint or score that is not finite' in caplog.text


def test_results_are_written_for_submission(pairs, ann_file, tmp_path):
    prefix = str(tmp_path / 'out' / 'results')
    evaluate(
        one_box_per_pair(pairs),
        ann_file=ann_file,
        format_only=True,
        outfile_prefix=prefix,
    )
    rows = json.loads((tmp_path / 'out' / 'results.keypoints.json').read_text())
    assert len(rows) == 40 and len(rows[0]['keypoints']) == 51


def test_presence_takes_the_place_of_the_decay(pairs, ann_file):
    """Score times presence is what the same scores are without presence or decay."""
    rng = np.random.default_rng(0)
    samples, expected = noisy(pairs, 2, sigma=6), noisy(pairs, 2, sigma=6)
    for data, same in zip(samples, expected):
        presence = np.array([1, rng.uniform(0.1, 1)], 'f4')
        data['pred_instances']['presence'] = presence
        same['pred_instances']['keypoint_scores'] *= presence[:, None]
    options = dict(ann_file=ann_file, score_mode='keypoint')
    found = evaluate(samples, score_decay=0.5, **options)
    assert found == evaluate(expected, score_decay=1.0, **options)
