import json
from pathlib import Path

import numpy as np
import pytest
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.evaluation.metrics import posetrack18_metric
from mmpose.registry import METRICS

from mipnet_mmpose.evaluation import MultiInstancePoseTrack18Metric

from .test_multi_instance_coco_metric import one_box_per_pair, pairs, sample  # noqa: F401

METAINFO = parse_pose_metainfo(dict(from_file='configs/_base_/datasets/posetrack18.py'))
METAINFO['dataset_name'] = 'posetrack_metric_test'


@pytest.fixture
def ann_file(pairs, tmp_path):  # noqa: F811
    """Two videos of ten frames; nobody is found in the last frame."""
    images = [dict(id=i, width=160, height=120, file_name=f'{i}') for i in range(21)]
    (tmp_path / 'val').mkdir()
    for name, frames in (('a', images[:10]), ('b', images[10:])):
        (tmp_path / 'val' / f'{name}.json').write_text(json.dumps(dict(images=frames)))
    path = tmp_path / 'posetrack18_val.json'
    category = dict(id=1, name='person')
    path.write_text(
        json.dumps(dict(images=images, annotations=pairs, categories=[category]))
    )
    return str(path)


def write(samples, folder, **cfg):
    """The files that go to poseval, by name."""
    folder.mkdir()
    metric = METRICS.build(
        dict(cfg, format_only=True, outfile_prefix=str(folder / 'results'))
    )
    metric.dataset_meta = dict(METAINFO)
    metric.process([], samples)
    metric.evaluate(len(samples))
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}


def test_one_instance_writes_what_the_stock_metric_writes(
    pairs,  # noqa: F811
    ann_file,
    tmp_path,
    monkeypatch,
):
    monkeypatch.setattr(posetrack18_metric, 'has_poseval', True)
    rng = np.random.default_rng(0)
    samples = [
        sample(a, a['id'], rng.uniform(0, 100, (1, 17, 2)), rng.uniform(0.1, 1, 1))
        for a in pairs
    ]
    cfg = dict(ann_file=ann_file)
    stock = write(samples, tmp_path / 'stock', type='PoseTrack18Metric', **cfg)
    cfg.update(type='MultiInstancePoseTrack18Metric')
    assert list(stock) == ['a.json', 'b.json']
    assert write(samples, tmp_path / 'ours', **cfg) == stock


def test_each_lambda_is_evaluated_on_its_own_files(pairs, ann_file, monkeypatch):  # noqa: F811
    def count(self, prefix):
        files = [json.loads(f.read_text()) for f in Path(prefix).parent.iterdir()]
        return [('AP', sum(len(file['annotations']) for file in files))]

    monkeypatch.setattr(posetrack18_metric, 'has_poseval', True)
    monkeypatch.setattr(
        MultiInstancePoseTrack18Metric, '_do_python_keypoint_eval', count
    )
    metric = METRICS.build(
        dict(type='MultiInstancePoseTrack18Metric', ann_file=ann_file, per_lambda=True)
    )
    metric.dataset_meta = dict(METAINFO)
    metric.process([], one_box_per_pair(pairs))
    assert metric.evaluate(20) == {
        'posetrack18/AP': 40,
        'posetrack18/lambda0/AP': 20,
        'posetrack18/lambda1/AP': 20,
    }


def test_missing_poseval_is_named(ann_file, monkeypatch):
    monkeypatch.setattr(posetrack18_metric, 'has_poseval', False)
    with pytest.raises(ImportError, match='poseval'):
        METRICS.build(dict(type='MultiInstancePoseTrack18Metric', ann_file=ann_file))
