"""The weights in the package, and what runs with nothing else given."""

import hashlib

import cv2
import numpy as np
import pytest
import torch

from mipnet_mmpose import MIPNetInferencer, estimate_poses, load_model
from mipnet_mmpose.apis.mipnet_inferencer import WEIGHTS
from mipnet_mmpose.mmpose_files import find_config

# isort: split
from mmpose.apis import init_model

from ..conftest import REPO

SHA256 = {
    'mipnet_tinypose_256x192.pth': (
        '2ed2f8d4f3bf7a16ca1443a3b04b4ebfb6dcdefe51522b8f2c7f3c35cdcb3eb9'
    ),
    'rtmdet_nano_person.pth': (
        '38eef72a932ef32f22cc57fc277622a84586cc4bc0620d26678f410fa0affbc8'
    ),
}


def test_weights_are_those_that_were_measured():
    sums = {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in WEIGHTS.glob('*.pth')
    }
    assert sums == SHA256
    for name in sums:
        if hasattr(torch.serialization, 'add_safe_globals'):  # no pickled code
            assert torch.load(WEIGHTS / name, weights_only=True)['state_dict']
        assert name in (WEIGHTS / 'NOTICE.md').read_text()


BASEBALL = REPO / 'docs' / 'baseball.jpg'
PEOPLE = [[178, 175, 350, 387], [535, 229, 640, 399], [431, 263, 562, 399]]


@pytest.mark.slow
def test_nothing_given(tmp_path):
    """Batter, catcher and umpire have a pose; the plain function gives the same."""
    path = str(BASEBALL)
    inferencer = MIPNetInferencer(device='cpu')
    (result,) = inferencer(path, out_dir=str(tmp_path))
    people = result['predictions'][0]
    assert {person['box_index'] for person in people} == {0, 1, 2}
    assert (tmp_path / 'visualizations' / 'baseball.jpg').is_file()
    boxes = inferencer.detect(cv2.imread(path))
    np.testing.assert_allclose(boxes[:, :4], PEOPLE, atol=15)
    (plain,) = estimate_poses(inferencer.model, path, [boxes])
    keypoints = [person['keypoints'] for person in people]
    np.testing.assert_allclose(plain['keypoints'], keypoints, atol=1e-3)


def test_lambda_0_is_pp_tinypose_to_the_last_digit(weights_dir):
    """The stock network with its own weights, in ../shared/weights."""
    stock = init_model(
        find_config('td-hm_tinypose_coco-256x192'),
        str(weights_dir / 'tinypose_256x192.pth'),
        device='cpu',
    )
    every = dict(nms_mode='none', batch_size=3)
    (expected,) = estimate_poses(stock, str(BASEBALL), [PEOPLE], **every)
    ours = load_model(device='cpu')
    (poses,) = estimate_poses(ours, str(BASEBALL), [PEOPLE], **every)
    first = poses['lambdas'] == 0
    assert np.array_equal(poses['keypoints'][first], expected['keypoints'])
    assert np.array_equal(poses['keypoint_scores'][first], expected['keypoint_scores'])
