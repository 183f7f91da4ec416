"""What is changed in MMPose and MMEngine."""

import runpy
import sys
from pathlib import Path

import cv2
import mmpose
import numpy as np
import pytest
from mmengine.config import Config, ConfigDict
from mmengine.fileio import LocalBackend
from mmengine.structures import InstanceData
from mmengine.visualization import Visualizer
from mmpose.apis.inference import dataset_meta_from_config
from mmpose.engine.hooks import BadCaseAnalysisHook
from mmpose.registry import DATASETS
from mmpose.structures import PoseDataSample

from mipnet_mmpose import compat
from mipnet_mmpose.mipnetify import mipnetify

from ..conftest import coco_dataset_config, estimator_config, person, train_pipeline


def test_nothing_is_changed_where_it_is_switched_off(monkeypatch):
    monkeypatch.setenv('MIPNET_COMPAT', '0')
    monkeypatch.delitem(sys.modules, 'mmcv._ext')
    compat.install.__wrapped__()  # not once a process
    assert 'mmcv._ext' not in sys.modules


def test_a_failed_write_leaves_the_old_file_and_no_part(tmp_path):
    """Of MMEngine's checkpoints."""
    path = tmp_path / 'epoch_1.pth'
    backend = LocalBackend()
    backend.put(b'whole', str(path))
    with pytest.raises(TypeError):
        backend.put('text where bytes must be', str(path))
    assert path.read_bytes() == b'whole'
    assert [file.name for file in tmp_path.iterdir()] == ['epoch_1.pth']


def test_wholebody_is_converted(coco_folder):
    """As by the RTMPose configs of body8-halpe26, which train on it."""
    parts = dict(foot_kpts=6, face_kpts=68, lefthand_kpts=21, righthand_kpts=21)
    parts = {part: [20, 30, 2] * count for part, count in parts.items()}
    folder = coco_folder([person(1, 1, 4, 4, 40, 50, segmentation=[], **parts)])
    pairs = [(i, i) for i in range(17)] + [(17, 20), (18, 22), (19, 24)]
    steps = [dict(type='KeypointConverter', num_keypoints=26, mapping=pairs)]
    cfg = dict(coco_dataset_config(folder, steps), type='CocoWholeBodyDataset')
    sample = DATASETS.build(cfg)[0]
    assert sample['keypoints'].shape == (1, 26, 2)
    seen = sample['keypoints_visible'].reshape(1, 26, -1)[0, :, 0]
    assert np.flatnonzero(seen).tolist() == [target for _, target in pairs]


def test_keypoints_are_those_of_the_dataset_inside():
    inner = dict(type='AicDataset')
    dataset = dict(type='RepeatDataset', times=2, dataset=inner)
    both = dict(type='ConcatDataset', datasets=[dataset, dict(type='CocoDataset')])
    for wrapped in (inner, dataset, both):
        cfg = Config(dict(train_dataloader=dict(dataset=wrapped)))
        assert dataset_meta_from_config(cfg)['num_keypoints'] == 14
    assert dataset_meta_from_config(Config()) is None


TRUTH = np.random.default_rng(0).uniform(0, 100, (1, 17, 2)).astype(np.float32)


def predicted(*poses, **fields):
    """A sample whose truth is one person and whose poses are these."""
    box = dict(bboxes=np.array([[0.0, 0, 100, 100]]), bbox_scores=np.ones(1))
    seen = np.ones((1, 17), np.float32)
    truth = InstanceData(keypoints=TRUTH, keypoints_visible=seen, **box)
    keypoints = np.concatenate(poses)
    found = InstanceData(
        keypoints=keypoints, keypoint_scores=np.ones(keypoints.shape[:2]), **fields
    )
    sample = PoseDataSample(metainfo=dict(input_size=(96, 128)))
    sample.gt_instances, sample.pred_instances = truth, found
    return sample


@pytest.mark.parametrize('metric', ['KeypointMSELoss', 'PCKAccuracy'])
def test_a_bad_case_is_told_by_lambda_0_alone(metric):
    """Though MMPose's hook would take the mean over all λ."""
    Visualizer.get_instance('bad_case')
    kind = 'loss' if metric.endswith('Loss') else 'accuracy'
    metric = ConfigDict(type=metric)
    hook = BadCaseAnalysisHook(enable=True, metric_type=kind, metric=metric)
    wrong = TRUTH + 60
    for poses in ([TRUTH, wrong], [wrong, TRUTH]):
        sample = predicted(*poses, lambdas=np.arange(2))
        stock = hook.check_badcase(None, predicted(poses[0]))
        assert hook.check_badcase(None, sample) == stock
        assert len(sample.pred_instances) == 2


@pytest.mark.slow
@pytest.mark.parametrize('mode', ['transformed', 'original'])
def test_browse_dataset_shows_training_data(mode, coco_folder, tmp_path, monkeypatch):
    people = [person(1, 1, 20, 10, 60, 90), person(2, 1, 30, 10, 60, 90)]
    stock = coco_dataset_config(coco_folder(people), train_pipeline(augment=False))
    cfg = dict(model=estimator_config(None), train_dataloader=dict(dataset=stock))
    cfg['visualizer'] = dict(type='PoseLocalVisualizer', name=f'browse_{mode}')
    mipnetify(Config(cfg)).dump(tmp_path / 'mipnet.py')
    script = Path(mmpose.__file__).parent / '.mim/tools/misc/browse_dataset.py'
    out = str(tmp_path / 'out')
    options = [str(tmp_path / 'mipnet.py'), '--output-dir', out, '--not-show']
    monkeypatch.setattr(sys, 'argv', [str(script), *options, '--mode', mode])
    runpy.run_path(str(script), run_name='__main__')
    pictures = [cv2.imread(str(file)) for file in Path(out).iterdir()]
    heatmaps_below = dict(transformed=(256, 96, 3), original=(120, 160, 3))[mode]
    assert [picture.shape for picture in pictures] == [heatmaps_below] * 2
