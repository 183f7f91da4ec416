"""tools/lambda_sweep.py on a small MIPNet with random weights."""

import importlib.util
import sys

import cv2
import numpy as np
import pytest
from mmpose.apis import inference_topdown
from PIL import Image

from ..conftest import REPO
from ..test_apis.conftest import model, photo, pose_files  # noqa: F401


@pytest.fixture(scope='module')
def tool():
    path = REPO / 'tools' / 'lambda_sweep.py'
    spec = importlib.util.spec_from_file_location('lambda_sweep', path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_strip_and_gif(tool, pose_files, photo, tmp_path, monkeypatch, capsys):  # noqa: F811
    cv2.imwrite(str(tmp_path / 'photo.png'), photo[0])
    config, checkpoint = pose_files
    argv = ['lambda_sweep.py', str(tmp_path / 'photo.png'), '--config', config]
    argv += ['--checkpoint', checkpoint, '--out', str(tmp_path / 'out')]
    argv += ['--bbox', '20', '10', '70', '100', '--steps', '3']
    monkeypatch.setattr(sys, 'argv', argv)
    tool.main()
    strip, gif = capsys.readouterr().out.splitlines()[-2:]
    height = 28 + 2 * 256  # title, pose, heatmaps
    assert cv2.imread(strip).shape == (height, 4 * 171, 3)
    with Image.open(gif) as frames:
        assert frames.size == (171, height)
        assert frames.n_frames == 6  # there and back


def test_the_ends_are_the_poses_of_the_model(tool, model, photo):  # noqa: F811
    image, boxes = photo
    expected = inference_topdown(model, image, boxes[:1])[0].pred_instances.keypoints
    sample, heatmaps = tool.sweep(model, image, boxes[:1], [0, 0.5, 1])
    np.testing.assert_allclose(
        sample.pred_instances.keypoints[[0, 2]], expected, atol=1e-3
    )
    assert heatmaps.shape == (3, 17, 24, 16)


@pytest.mark.parametrize(
    'args', [['--steps', '0'], ['--bbox', '1', '1', '0', '5'], ['--fps', '0']]
)
def test_bad_arguments_are_refused(tool, args, monkeypatch):
    argv = ['lambda_sweep.py', 'a.png', '--config', 'c', '--checkpoint', 'w', *args]
    monkeypatch.setattr(sys, 'argv', argv)
    with pytest.raises(SystemExit):
        tool.parse_args()
