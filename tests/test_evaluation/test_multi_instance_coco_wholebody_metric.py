import numpy as np
import pytest
from mmpose.datasets.datasets.utils import parse_pose_metainfo

from . import test_multi_instance_coco_metric as coco

METAINFO = parse_pose_metainfo(
    dict(from_file='configs/_base_/datasets/coco_wholebody.py')
)
METAINFO.update(dataset_name='wholebody_metric_test', CLASSES=coco.METAINFO['CLASSES'])
PARTS = dict(keypoints=17, foot_kpts=6, face_kpts=68)
PARTS.update(lefthand_kpts=21, righthand_kpts=21)


@pytest.fixture
def ann_file(pairs, tmp_path):
    """The pairs of people with 133 keypoints each, some of which not labelled."""
    rng = np.random.default_rng(0)
    for annotation in pairs:
        left, top, width, height = annotation['bbox']
        for part, num in PARTS.items():
            keypoints = rng.uniform(0.05, 0.95, (num, 3)) * (width, height, 1)
            keypoints[:, :2] += (left, top)
            keypoints[:, 2] = rng.integers(0, 3, num)
            annotation[part] = keypoints.ravel().tolist()
    return coco.write(pairs, tmp_path / 'wholebody.json')


def sample(annotation, others, scores, noise=0):
    """The poses of some people in the box of one."""
    flat = [np.concatenate([other[part] for part in PARTS]) for other in others]
    poses = np.reshape(flat, (-1, 133, 3))[..., :2]
    poses += np.random.default_rng(annotation['id']).normal(0, noise, poses.shape)
    return coco.sample(annotation, annotation['id'], poses, scores)


def evaluate(samples, kind='MultiInstanceCocoWholeBodyMetric', **cfg):
    return coco.evaluate(samples, metainfo=METAINFO, type=kind, **cfg)


@pytest.mark.parametrize('with_file', [True, False])
def test_one_instance_is_the_stock_metric(pairs, ann_file, with_file, capfd):
    scores = np.random.default_rng(1).uniform(0.2, 1, len(pairs))
    samples = [sample(a, [a], [score], 2) for a, score in zip(pairs, scores)]
    cfg = dict(ann_file=ann_file if with_file else None)
    stock = evaluate(samples, kind='CocoWholeBodyMetric', **cfg)
    tables = [line for line in capfd.readouterr().out.splitlines() if '(A' in line]
    assert 0.1 < stock['coco-wholebody/AP'] < 0.95 and len(tables) == 60
    assert evaluate(samples, **cfg) == stock
    out = capfd.readouterr().out.splitlines()
    assert [line for line in out if '(A' in line] == tables


def test_second_person_counts(pairs, ann_file):
    couples = zip(pairs[::2], pairs[1::2])
    samples = [sample(a, [a, b], [0.9, 0.8]) for a, b in couples]
    result = evaluate(samples, ann_file=ann_file, per_lambda=True)
    assert result['coco-wholebody/AR'] == 1
    assert result['coco-wholebody/lambda1/AR'] == 0.5
