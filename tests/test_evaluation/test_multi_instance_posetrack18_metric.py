import json
from pathlib import Path

import numpy as np
import pytest
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.evaluation.metrics import posetrack18_metric

from mipnet_mmpose.evaluation import MultiInstancePoseTrack18Metric

from . import test_multi_instance_coco_metric as coco
from .test_multi_instance_coco_metric import pairs  # noqa: F401

METAINFO = parse_pose_metainfo(dict(from_file='configs/_base_/datasets/posetrack18.py'))
METAINFO['dataset_name'] = 'posetrack_metric_test'


@pytest.fixture
def ann_file(pairs, tmp_path):  # noqa: F811
    """Two videos of ten frames; nobody is found in the last frame."""
    images = [dict(id=i, file_name=f'{i}') for i in range(21)]
    (tmp_path / 'val').mkdir()
    for name, frames in (('a', images[:10]), ('b', images[10:])):
        (tmp_path / 'val' / f'{name}.json').write_text(json.dumps(dict(images=frames)))
    return coco.write(pairs, tmp_path / 'posetrack18_val.json', images=21)


def files_of(samples, folder, **cfg):
    """The files that go to poseval, by name."""
    folder.mkdir()
    cfg.update(format_only=True, outfile_prefix=str(folder / 'results'))
    coco.evaluate(samples, metainfo=METAINFO, **cfg)
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
        coco.sample(a, a['id'], rng.uniform(0, 100, (1, 17, 2)), rng.uniform(0.1, 1, 1))
        for a in pairs
    ]
    cfg = dict(ann_file=ann_file)
    stock = files_of(samples, tmp_path / 'stock', type='PoseTrack18Metric', **cfg)
    cfg.update(type='MultiInstancePoseTrack18Metric')
    assert list(stock) == ['a.json', 'b.json']
    assert files_of(samples, tmp_path / 'ours', **cfg) == stock


def test_each_lambda_is_evaluated_on_its_own_files(pairs, ann_file, monkeypatch):  # noqa: F811
    def count(self, prefix):
        files = [json.loads(f.read_text()) for f in Path(prefix).parent.iterdir()]
        return [('AP', sum(len(file['annotations']) for file in files))]

    monkeypatch.setattr(posetrack18_metric, 'has_poseval', True)
    monkeypatch.setattr(
        MultiInstancePoseTrack18Metric, '_do_python_keypoint_eval', count
    )
    found = coco.evaluate(
        coco.one_box_per_pair(pairs),
        metainfo=METAINFO,
        type='MultiInstancePoseTrack18Metric',
        ann_file=ann_file,
        per_lambda=True,
    )
    assert found == {
        'posetrack18/AP': 40,
        'posetrack18/lambda0/AP': 20,
        'posetrack18/lambda1/AP': 20,
    }
