"""Pictures of MMPose's own hook, with its visualizer and with ours."""

import types

import cv2
import numpy as np
import pytest
from mmpose.engine.hooks import PoseVisualizationHook
from mmpose.registry import VISUALIZERS

from mipnet_mmpose import COLORS

from ..conftest import person
from ..test_apis.conftest import model, pose_files  # noqa: F401
from ..test_models.test_estimator import test_batch


@pytest.mark.parametrize('kind', ['PoseLocalVisualizer', 'MultiInstanceVisualizer'])
def test_the_hook_draws_all_poses_of_a_box(model, coco_folder, tmp_path, kind):  # noqa: F811
    folder = coco_folder([person(1, 1, 20, 10, 60, 90)])
    batch = test_batch(folder)
    model.test_cfg['output_heatmaps'] = True
    outputs = model.test_step(batch)
    poses = outputs[0].pred_instances
    poses.keypoints[0] = [30, 40]
    poses.keypoints[1] = [120, 90]
    poses.keypoints_visible = np.ones_like(poses.keypoint_scores)

    visualizer = VISUALIZERS.build(dict(type=kind, name=f'{kind}_{tmp_path.name}'))
    hook = PoseVisualizationHook(enable=True, out_dir=str(tmp_path / 'show'))
    hook._visualizer = visualizer
    runner = types.SimpleNamespace(
        work_dir=str(tmp_path),
        timestamp='',
        test_evaluator=types.SimpleNamespace(dataset_meta=model.dataset_meta),
    )
    hook.after_test_iter(runner, 0, batch, outputs)
    (picture,) = (tmp_path / 'show').iterdir()
    drawing = cv2.imread(str(picture))
    image = cv2.imread(str(folder / '000001.png'))
    for x, y in ((30, 40), (120, 90)):
        assert (drawing[y, x] != image[y, x]).any()
    if kind == 'MultiInstanceVisualizer':
        np.testing.assert_array_equal(drawing[40, 30], COLORS[0])
        np.testing.assert_array_equal(drawing[90, 120], COLORS[1])
    assert drawing.shape == (240, 160, 3)  # the heatmaps below


def test_other_styles_stay_those_of_mmpose(model, coco_folder):  # noqa: F811
    folder = coco_folder([person(1, 1, 20, 10, 60, 90)])
    (sample,) = model.test_step(test_batch(folder))
    image = cv2.imread(str(folder / '000001.png'))
    drawings = []
    for kind in ('PoseLocalVisualizer', 'MultiInstanceVisualizer'):
        visualizer = VISUALIZERS.build(dict(type=kind, name=f'{kind}_{id(sample)}'))
        visualizer.set_dataset_meta(model.dataset_meta, 'openpose')
        drawings.append(
            visualizer.add_datasample(
                'image', image, sample, draw_gt=False, skeleton_style='openpose'
            )
        )
    np.testing.assert_array_equal(*drawings)
