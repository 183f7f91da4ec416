"""Models of ours that MMPose's inferencer finds by name."""

import numpy as np
import torch
from mmengine.config import Config
from mmpose.apis import MMPoseInferencer, inference_topdown, init_model
from mmpose.registry import MODELS

from ..conftest import REPO

NAME = 'td-hm_mipnet-res18-small_8e_synthcrowd-128x96'


def test_the_inferencer_finds_a_model_by_name(tmp_path):
    config = REPO / 'configs' / 'synthcrowd' / f'{NAME}.py'
    torch.manual_seed(0)
    weights = MODELS.build(Config.fromfile(config).model).state_dict()
    weights['head.head.final_layer.weight'].normal_()  # heatmaps with clear peaks
    torch.save(dict(state_dict=weights, meta={}), tmp_path / 'weights.pth')
    image = np.random.default_rng(0).integers(0, 255, (128, 96, 3), dtype=np.uint8)

    inferencer = MMPoseInferencer(
        pose2d=NAME,
        pose2d_weights=str(tmp_path / 'weights.pth'),
        scope='mipnet_mmpose',
        det_model='whole_image',
        device='cpu',
    )
    (poses,) = next(inferencer(image))['predictions']

    model = init_model(str(config), str(tmp_path / 'weights.pth'), device='cpu')
    expected = inference_topdown(model, image)[0].pred_instances
    assert len(poses) == 2
    np.testing.assert_allclose([p['keypoints'] for p in poses], expected.keypoints)
    assert np.ptp(expected.keypoints[0], axis=0).min() > 0
