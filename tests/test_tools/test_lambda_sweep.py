"""tools/lambda_sweep.py on a small MIPNet with random weights."""

import cv2
import numpy as np
import pytest
from mmpose.apis import inference_topdown
from PIL import Image

from mipnet_mmpose import draw_poses

from ..conftest import load_tool
from ..test_apis.conftest import model, photo, pose_files  # noqa: F401


@pytest.fixture(scope='module')
def tool():
    return load_tool('lambda_sweep')


def test_strip_and_gif(tool, pose_files, photo, tmp_path, capsys):  # noqa: F811
    cv2.imwrite(str(tmp_path / 'photo.png'), photo[0])
    config, checkpoint = pose_files
    argv = [str(tmp_path / 'photo.png'), '--config', config, '--steps', '3']
    argv += ['--checkpoint', checkpoint, '--out', str(tmp_path / 'out')]
    boxes = '--bbox 20 10 90 110 --bbox 35 12 105 112'.split()
    tool.main([*argv, *boxes])
    strip, gif = capsys.readouterr().out.splitlines()[-2:]
    height = 2 * (28 + 2 * 256)  # title, pose, heatmaps of two boxes
    assert cv2.imread(strip).shape == (height, 4 * 171, 3)
    with Image.open(gif) as frames:
        assert frames.size == (171, height)
        assert frames.n_frames == 6  # there and back


def test_the_ends_are_the_poses_of_the_model(tool, model, photo, monkeypatch):  # noqa: F811
    image, boxes = photo
    samples = inference_topdown(model, image, boxes[:1])
    scores = samples[0].pred_instances.keypoint_scores
    drawn = []
    monkeypatch.setattr(
        'mipnet_mmpose.draw_poses',
        lambda *args: drawn.append(args) or draw_poses(*args),
    )
    tool.draw_steps(model, image, boxes[0], [0, 0.5, 1], 0.3)
    for place, expected in ((0, scores[0]), (2, scores[1])):
        np.testing.assert_allclose(drawn[place][2][0], expected, atol=1e-4)


@pytest.mark.parametrize(
    'args', [['--steps', '0'], ['--bbox', '1', '1', '0', '5'], ['--fps', '0']]
)
def test_bad_arguments_are_refused(tool, args):
    with pytest.raises(SystemExit):
        tool.parse_args(['a.png', *args])
