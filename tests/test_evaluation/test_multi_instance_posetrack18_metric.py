import json
from pathlib import Path

import pytest
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.evaluation.metrics import PoseTrack18Metric, posetrack18_metric

from . import test_multi_instance_coco_metric as coco

METAINFO = parse_pose_metainfo(dict(from_file='configs/_base_/datasets/posetrack18.py'))
METAINFO['dataset_name'] = 'posetrack_metric_test'
OURS = 'MultiInstancePoseTrack18Metric'


@pytest.fixture
def ann_file(pairs, tmp_path, monkeypatch):
    """Two videos of ten frames; nobody is found in the last frame."""
    monkeypatch.setattr(posetrack18_metric, 'has_poseval', True)
    images = [dict(id=i, file_name=f'{i}') for i in range(21)]
    (tmp_path / 'val').mkdir()
    for name, frames in (('a', images[:10]), ('b', images[10:])):
        (tmp_path / 'val' / f'{name}.json').write_text(json.dumps(dict(images=frames)))
    return coco.write(pairs, tmp_path / 'posetrack18_val.json', images=21)


def test_one_instance_writes_what_the_stock_metric_writes(pairs, ann_file, tmp_path):
    samples, files = coco.noisy(pairs, 1), {}
    for kind in ('PoseTrack18Metric', OURS):
        (tmp_path / kind).mkdir()
        cfg = dict(format_only=True, outfile_prefix=str(tmp_path / kind / 'results'))
        cfg.update(type=kind, ann_file=ann_file)
        coco.evaluate(samples, metainfo=METAINFO, **cfg)
        written = sorted((tmp_path / kind).iterdir())
        files[kind] = {path.name: path.read_text() for path in written}
    assert list(files[OURS]) == ['a.json', 'b.json']
    assert files[OURS] == files['PoseTrack18Metric']


def test_each_lambda_is_evaluated_on_its_own_files(pairs, ann_file, monkeypatch):
    def count(self, prefix):
        files = [json.loads(f.read_text()) for f in Path(prefix).parent.iterdir()]
        return [('AP', sum(len(file['annotations']) for file in files))]

    monkeypatch.setattr(PoseTrack18Metric, '_do_python_keypoint_eval', count)
    samples = coco.one_box_per_pair(pairs)
    found = coco.evaluate(samples, metainfo=METAINFO, type=OURS, ann_file=ann_file)
    expected = {'AP': 40, 'lambda0/AP': 20, 'lambda1/AP': 20}
    assert found == {f'posetrack18/{key}': num for key, num in expected.items()}
