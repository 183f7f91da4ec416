"""Inference with the keypoints of each dataset that MMPose has a file of."""

import copy
from pathlib import Path

import mmpose
import numpy as np
import pytest
from mmpose.apis import inference_topdown, init_model
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.evaluation.functional import oks_nms

from mipnet_mmpose import estimate_poses
from mipnet_mmpose.evaluation.merge_poses import UNKNOWN_SIGMA

from .conftest import pose_config, random_weights

FILES = sorted(
    (Path(mmpose.__file__).parent / '.mim/configs/_base_/datasets').glob('*.py')
)


@pytest.fixture(scope='module')
def widest():
    """A model of as many keypoints as any dataset has."""
    cfg = pose_config()
    cfg.model.test_cfg.flip_test = False
    cfg.model.head.head.out_channels = 294  # of DeepFashion2
    model = init_model(cfg, device='cpu')
    model.load_state_dict(random_weights(cfg.model))
    return model


@pytest.mark.parametrize('file', FILES, ids=lambda file: file.stem)
def test_people_are_found_and_merged_as_mmpose_merges_them(file, photo, widest):
    image, boxes = photo
    meta = parse_pose_metainfo(dict(from_file=str(file)))
    model = copy.deepcopy(widest)
    model.dataset_meta, layer = meta, model.head.head.final_layer
    for values in (layer.weight, layer.bias):
        values.data = values.data[: meta['num_keypoints']]
    poses = []
    for sample in inference_topdown(model, image, boxes[:2]):
        found = sample.pred_instances
        triplets = np.dstack([found.keypoints, found.keypoint_scores])
        area = sample.gt_instances.bbox_scales[0].prod()
        poses += [
            dict(keypoints=pose, score=pose[:, 2].mean(), area=area)
            for pose in triplets
        ]
    sigmas = meta['sigmas'] if len(meta['sigmas']) else UNKNOWN_SIGMA
    kept = oks_nms(poses, 0.5, np.broadcast_to(sigmas, meta['num_keypoints']))
    merge = dict(score_decay=1, nms_thr=0.5, score_mode='keypoint')
    people = estimate_poses(model, image, boxes[:2], **merge)[0]
    expected = [poses[i]['keypoints'][:, :2] for i in kept]
    np.testing.assert_allclose(people['keypoints'], expected, atol=1e-4)
