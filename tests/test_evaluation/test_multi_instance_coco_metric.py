import json

import numpy as np
import pytest
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import METRICS

from ..conftest import person

METAINFO = parse_pose_metainfo(dict(from_file='configs/_base_/datasets/coco.py'))
METAINFO['dataset_name'] = 'metric_test'  # no annotation file is noted for it
METAINFO['CLASSES'] = [dict(id=1, name='person')]


def keypoints_of(annotation):
    return np.reshape(annotation['keypoints'], (17, 3))[:, :2].astype('f4')


def sample(annotation, box_id, poses, scores, box_score=1.0):
    """What the model gives for the box of one annotation."""
    left, top, width, height = annotation['bbox']
    num, num_keypoints = np.shape(poses)[:2]
    box = np.array([left, top, left + width, top + height], 'f4')
    pred = dict(
        keypoints=np.array(poses, 'f4'),
        keypoint_scores=np.array([scores] * num_keypoints, 'f4').T,
        bboxes=np.stack([box] * num),
        bbox_scores=np.full(num, box_score, 'f4'),
        lambdas=np.arange(num, dtype='f4'),
    )
    return dict(
        id=box_id,
        img_id=annotation['image_id'],
        pred_instances=pred,
        gt_instances=dict(bbox_scales=np.array([[width, height]], 'f4') * 1.25),
        ori_shape=(120, 160),
        crowd_index=0.3,
        raw_ann_info=annotation,
    )


def evaluate(samples, size=None, metainfo=METAINFO, **cfg):
    metric = METRICS.build(dict(dict(type='MultiInstanceCocoMetric'), **cfg))
    metric.dataset_meta = dict(metainfo)
    metric.process([], samples)
    return metric.evaluate(size or len(samples))


def write(people, path, images=20, categories=METAINFO['CLASSES']):
    size = dict(width=160, height=120)
    images = [dict(size, id=i, crowdIndex=i / 20) for i in range(images)]
    data = dict(images=images, annotations=people, categories=categories)
    path.write_text(json.dumps(data))
    return str(path)


@pytest.fixture
def ann_file(pairs, tmp_path):
    return write(pairs, tmp_path / 'annotations.json')


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
    'cfg',
    [
        dict(score_mode='bbox', nms_mode='none'),
        dict(ann_file=None),
        dict(nms_mode='soft_oks_nms'),
        dict(score_mode='bbox_rle'),
        dict(score_mode='keypoint', nms_mode='soft_oks_nms', ann_file=None),
        dict(iou_type='keypoints_crowd', use_area=False),
    ],
    ids=str,
)
def test_one_instance_is_the_stock_metric(pairs, ann_file, cfg):
    cfg = dict(dict(ann_file=ann_file, nms_thr=0.6), **cfg)
    stock = evaluate(noisy(pairs, 1), type='CocoMetric', **cfg)
    assert 0.1 < stock['coco/AP'] < 0.95
    assert evaluate(noisy(pairs, 1), **cfg) == stock


CONVERTER = dict(num_keypoints=12, mapping=[(i, i - 5) for i in range(5, 17)])


def test_converted_keypoints_are_evaluated_as_by_the_stock_metric(pairs, ann_file):
    cfg = dict(ann_file=ann_file, pred_converter=CONVERTER, gt_converter=CONVERTER)
    stock = evaluate(noisy(pairs, 1), type='CocoMetric', **cfg)
    metric = METRICS.build(dict(cfg, type='MultiInstanceCocoMetric'))
    metric.dataset_meta = dict(METAINFO)
    for _ in range(2):  # the stock metric converts again and fails
        metric.process([], noisy(pairs, 1))
        assert metric.evaluate(40) == stock


def test_model_of_the_converted_keypoints_needs_no_converter(pairs, ann_file):
    """As with ``output_keypoint_indices``: the poses have 12 keypoints, the file 17."""
    samples = one_box_per_pair(pairs)
    for data in samples:
        for key in ('keypoints', 'keypoint_scores'):
            data['pred_instances'][key] = data['pred_instances'][key][:, 5:]
    result = evaluate(samples, ann_file=ann_file, gt_converter=CONVERTER)
    assert result['coco/AR'] == 1
    with pytest.raises(ValueError, match='12 keypoints, the metainfo .* 17 sigmas'):
        evaluate(samples, ann_file=ann_file)


def one_box_per_pair(pairs):
    """λ = 0 the person of the box, λ = 1 the other one."""
    return [
        sample(a, a['id'], [keypoints_of(a), keypoints_of(b)], [0.9, 0.8])
        for a, b in zip(pairs[::2], pairs[1::2])
    ]


def test_second_person_survives_nms_and_padding(pairs, ann_file):
    samples = one_box_per_pair(pairs)
    result = evaluate(samples, ann_file=ann_file)
    assert result['coco/AP'] == pytest.approx(1, abs=1e-6)
    assert result['coco/AR'] == 1
    assert result['coco/lambda0/AR'] == result['coco/lambda1/AR'] == 0.5
    cfg = dict(ann_file=ann_file, nms_mode='none')
    assert evaluate(samples, **cfg) == evaluate(samples + samples[:7], **cfg)


def test_each_lambda_alone_is_the_stock_metric_on_its_poses(pairs, ann_file):
    result = evaluate(noisy(pairs, 2), ann_file=ann_file)
    for i in range(2):
        alone = noisy(pairs, 2)
        for data in alone:
            poses = data['pred_instances'].items()
            data['pred_instances'] = {k: v[i : i + 1] for k, v in poses}
        stock = evaluate(alone, type='CocoMetric', ann_file=ann_file)
        found = {k: result[k.replace('coco/', f'coco/lambda{i}/')] for k in stock}
        assert found == pytest.approx(stock, abs=1e-9)


def test_evaluation_knows_no_order(pairs, ann_file):
    """Of predictions with equal scores."""
    samples = noisy(pairs, 2)
    for data in samples:
        for name in ('keypoint_scores', 'bbox_scores'):
            data['pred_instances'][name][:] = 0.5
    cfg = dict(ann_file=ann_file, score_decay=1.0)
    expected = evaluate(samples, **cfg)
    for seed in range(2):
        order = np.random.default_rng(seed).permutation(len(samples))
        assert evaluate([samples[i] for i in order], **cfg) == expected


def test_poses_that_are_not_finite_find_nobody(pairs, ann_file):
    samples = one_box_per_pair(pairs)
    expected = evaluate(samples[:-2], ann_file=ann_file)
    for data, name in zip(samples[-2:], ('keypoints', 'keypoint_scores')):
        data['pred_instances'][name][:, 3] = np.nan
    with pytest.warns(UserWarning, match='^2 of 2 poses are not finite'):
        found = evaluate(samples, ann_file=ann_file)
    assert found.items() >= expected.items()
    for data in samples:
        data['pred_instances']['keypoints'][:] = np.inf
    with pytest.warns(UserWarning, match='are not finite'):
        assert evaluate(samples, ann_file=ann_file)['coco/AR'] == 0


def test_more_than_twenty_people_are_counted(pairs, ann_file, log_lines):
    """Two people an image, each found eleven times."""
    samples = noisy(pairs, 11)
    evaluate(samples, ann_file=ann_file, nms_mode='none')
    (line,) = (line for line in log_lines if 'more than' in line)
    assert line.startswith('20 of 20 images have more than 20 people')
    assert line.endswith('40 poses do not count')
    log_lines.clear()
    evaluate(noisy(pairs, 10), ann_file=ann_file, nms_mode='none')
    assert not any('more than' in line for line in log_lines)


def test_what_makes_an_ap_wrong_is_said_before_the_test(pairs, tmp_path, log_lines):
    pairs[0]['category_id'], pairs[3]['area'], pairs[8]['area'] = 5, 0, np.nan
    path = tmp_path / 'val.json'
    evaluate(noisy(pairs, 1), ann_file=write(pairs, path))
    flat, category = sorted(line for line in log_lines if 'val.json' in line)[::-1]
    assert '1 of 40 annotations have a category_id' in category
    assert '2 of 40 annotations have an area of 0' in flat and flat.endswith('as id 3')
    log_lines.clear()
    pairs[0]['category_id'] = 1
    evaluate(noisy(pairs, 1), ann_file=write(pairs, path), use_area=False)
    assert not any('val.json' in line for line in log_lines)
    pairs[3]['id'] = 2
    with pytest.raises(ValueError, match='val.json: 1 of 40 .* such as 2: give'):
        evaluate([], ann_file=write(pairs, path))


@pytest.mark.parametrize('format_only', [True, False])
def test_results_are_written(pairs, ann_file, tmp_path, format_only):
    cfg = dict(ann_file=ann_file, outfile_prefix=str(tmp_path / 'out' / 'results'))
    evaluate(one_box_per_pair(pairs), format_only=format_only, **cfg)
    rows = json.loads((tmp_path / 'out' / 'results.keypoints.json').read_text())
    assert len(rows) == 40 and len(rows[0]['keypoints']) == 51


def test_who_is_not_present_is_not_found(pairs, ann_file):
    samples = one_box_per_pair(pairs)
    for i, data in enumerate(samples):
        data['pred_instances']['presence'] = np.array([1, 0.99 if i < 5 else 0.1], 'f4')
    assert evaluate(samples, ann_file=ann_file)['coco/AR'] == 25 / 40
    assert evaluate(samples, ann_file=ann_file, presence_thr=0)['coco/AR'] == 1


def test_annotations_of_a_box_alone_count_as_by_stock(pairs, tmp_path, log_lines):
    samples, both = noisy(pairs, 1), one_box_per_pair(pairs)
    ball = person(90, 3, 5, 5, 0, 0, keypoints=[], num_keypoints=0, category_id=2)
    people = [*pairs, ball, dict(ball, id=91, category_id=1)]
    categories = [*METAINFO['CLASSES'], dict(id=2, name='ball')]
    ann_file = write(people, tmp_path / 'val.json', categories=categories)
    stock = evaluate(samples, type='CocoMetric', ann_file=ann_file)
    log_lines.clear()
    assert evaluate(samples, ann_file=ann_file) == stock
    assert evaluate(both, ann_file=ann_file)['coco/AR'] == 1
    assert not any('val.json' in line for line in log_lines)


def test_stock_metric_stops_at_several_poses_or_takes_lambda_0(pairs, ann_file):
    """Without MIPNetCheckHook, which names this metric instead."""
    samples = noisy(pairs, 2)
    options = dict(type='CocoMetric', ann_file=ann_file)
    with pytest.raises(IndexError):
        evaluate(samples, **options)
    alone = noisy(pairs, 2)
    for data, same in zip(samples, alone):
        data['gt_instances'] = same['gt_instances'] = {}  # no size of the box
        same['pred_instances'] = {k: v[:1] for k, v in same['pred_instances'].items()}
    assert evaluate(samples, **options) == evaluate(alone, **options)
