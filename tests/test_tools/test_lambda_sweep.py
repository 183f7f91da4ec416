"""tools/lambda_sweep.py on a small MIPNet with random weights."""

import cv2
import numpy as np
from PIL import Image

from ..conftest import load_tool, run_script
from ..test_apis.conftest import photo, pose_files  # noqa: F401

tool = load_tool('lambda_sweep')


def test_strip_and_gif(pose_files, photo, tmp_path, capsys):  # noqa: F811
    cv2.imwrite(str(tmp_path / 'photo.png'), photo[0])
    config, checkpoint = pose_files
    argv = [tmp_path / 'photo.png', '--config', config, '--steps', 3]
    argv += ['--checkpoint', checkpoint, '--out', tmp_path / 'out']
    boxes = '--bbox 20 10 90 110 --bbox 35 12 105 112'.split()
    run_script(tool, *argv, *boxes)
    strip, gif = capsys.readouterr().out.splitlines()[-2:]
    height = 2 * (28 + 2 * 256)  # title, pose, heatmaps of two boxes
    steps = np.split(cv2.imread(strip), 4, axis=1)
    assert steps[0].shape == (height, 192, 3)
    assert (steps[0] != steps[3]).any()  # λ = 0 and 1
    with Image.open(gif) as frames:
        assert frames.size == (192, height)
        assert frames.n_frames == 6  # there and back
