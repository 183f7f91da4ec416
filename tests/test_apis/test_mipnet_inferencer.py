"""The inferencer, beside MMPose's own."""

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config

# before mmpose.apis, which mmcv-lite alone cannot import
# isort: split
from mipnet_mmpose import COLORS, MIPNetInferencer, estimate_poses, load_model
from mipnet_mmpose.mmpose_files import find_config

# isort: split
from mmpose.apis import MMPoseInferencer

from .conftest import pose_config, random_weights, read_video


@pytest.fixture(scope='module')
def inferencer(pose_files):
    return MIPNetInferencer(*pose_files, device='cpu')


@pytest.fixture
def photo_file(photo, tmp_path):
    path = tmp_path / 'photo.png'
    cv2.imwrite(str(path), photo[0])
    return str(path)


FIELDS = {name: name for name in ('keypoints', 'keypoint_scores')}
FIELDS.update({'bbox': 'bboxes', 'score': 'scores', 'lambda': 'lambdas'})
FIELDS['box_index'] = 'box_indices'


def assert_people(prediction, arrays, atol=1e-4):
    """People as dicts are those of ``estimate_poses``."""
    assert len(prediction) == len(arrays['scores'])
    for name, field in FIELDS.items():
        found = np.reshape([person[name] for person in prediction], arrays[field].shape)
        np.testing.assert_allclose(found, arrays[field], atol=atol)


def test_people_have_what_mmpose_gives_and_more(inferencer, pose_files, photo_file):
    stock = MMPoseInferencer(*pose_files, device='cpu', det_model='whole_image')
    (theirs,) = stock(photo_file)
    (ours,) = inferencer(photo_file, merge_results=False)
    assert len(theirs['predictions'][0]) == 2  # N poses of the box
    for a, b in zip(ours['predictions'][0], theirs['predictions'][0]):
        assert set(a) == set(b) | {'score', 'lambda', 'box_index'}
        np.testing.assert_allclose(a['keypoints'], b['keypoints'], atol=1e-4)
        np.testing.assert_allclose(a['bbox'], b['bbox'])
        assert a['bbox_score'] == b['bbox_score']


def test_images_may_come_as_anything(inferencer, model, photo, photo_file):
    image, _ = photo
    (one,) = inferencer(photo_file)
    path = Path(photo_file)
    for inputs in (path, image, [image], [photo_file], path.parent):
        (result,) = inferencer(inputs)
        assert result['predictions'] == one['predictions']
    for result in inferencer([photo_file, image, photo_file]):
        assert_people(result['predictions'][0], estimate_poses(model, image)[0])


def test_a_missing_input_is_named(inferencer, tmp_path):
    for inputs in ('gone.jpg', 'gone.mp4'):
        with pytest.raises(ValueError, match=f'{inputs}: no such file'):
            next(inferencer(inputs))
    for inputs in (__file__, str(tmp_path)):  # no picture; a folder of nothing
        message = f'{inputs}: no image, no readable video, no folder of images'
        with pytest.raises(ValueError, match=message):
            next(inferencer(inputs))


def test_an_unreadable_image_is_skipped_with_a_count(inferencer, photo, photo_file):
    image, boxes = photo
    inputs = [photo_file, 'gone.jpg', image]
    with pytest.warns(UserWarning, match='skipped: 1, .*gone.jpg: not a readable'):
        results = list(inferencer(inputs, bboxes=[boxes] * 3, return_vis=True))
    assert [len(r['predictions'][0]) > 0 for r in results] == [True, False, True]
    first, gone, last = (result['visualization'][0] for result in results)
    assert gone is None and np.array_equal(first, last)


def test_pictures_and_predictions_are_written(
    inferencer, model, photo, photo_file, tmp_path
):
    image, boxes = photo
    out = tmp_path / 'out'
    call = dict(bboxes=boxes, out_dir=str(out), kpt_thr=0.0, return_vis=True)
    (result,) = inferencer(photo_file, **call)
    people = result['predictions'][0]
    assert_people(people, estimate_poses(model, image, boxes)[0])
    assert cv2.imread(str(out / 'visualizations' / 'photo.png')).shape == image.shape
    written = json.loads((out / 'predictions' / 'photo.json').read_text())
    assert [p['keypoints'] for p in written] == [p['keypoints'] for p in people]
    for color in COLORS[: len(people)]:  # one a person; the drawing is RGB
        drawn = (result['visualization'][0] == color[::-1]).all(axis=2)
        assert drawn.sum() > 10
    (result,) = inferencer(photo_file, return_datasample=True)
    assert len(result['predictions'][0].pred_instances)


def test_a_video_frame_by_frame(inferencer, model, video_file, tmp_path):
    frames = read_video(video_file)
    boxes = [[[20, 10, 90, 110]] * (i % 2 == 0) for i in range(12)]
    out = tmp_path / 'out'
    results = list(inferencer(video_file, bboxes=boxes, out_dir=str(out)))
    people = [result['predictions'][0] for result in results]
    expected = estimate_poses(model, frames, boxes)
    assert len(people) == 12
    for prediction, arrays in zip(people, expected):
        assert_people(prediction, arrays)
    assert len(read_video(out / 'visualizations' / 'video.avi')) == 12
    written = json.loads((out / 'predictions' / 'video.json').read_text())
    assert [frame['frame_id'] for frame in written] == list(range(12))
    assert [len(f['instances']) for f in written] == [len(p) for p in people]
    results = inferencer(video_file, out_dir=str(out))
    for _ in range(4):
        next(results)
    results.close()  # left early
    assert len(read_video(out / 'visualizations' / 'video.avi')) == 4
    assert len(json.loads((out / 'predictions' / 'video.json').read_text())) == 4


def test_frames_that_a_header_promises_are_no_frames(inferencer, video_file, tmp_path):
    data = Path(video_file).read_bytes()
    cut = tmp_path / 'cut.avi'
    cut.write_bytes(data[: len(data) // 2])
    readable = len(read_video(cut))
    assert 2 < readable < 12
    assert len(list(inferencer(str(cut)))) == readable
    # a frame more than there are boxes has nobody
    boxes = [[[20, 10, 90, 110]]] * (readable - 1)
    people = [r['predictions'][0] for r in inferencer(str(cut), bboxes=boxes)]
    assert len(people) == readable and people[-2] and not people[-1]


def test_a_file_named_webcam_is_no_camera(inferencer, photo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cv2.imwrite('webcam.png', photo[0])
    assert len(list(inferencer('webcam.png'))) == 1


def test_keypoints_are_found_in_the_config(photo, tmp_path):
    """A checkpoint without dataset_meta, of a dataset that is not COCO."""
    cfg = pose_config()
    cfg.train_dataloader.dataset.dataset.type = 'CrowdPoseDataset'
    cfg.test_dataloader.dataset.type = 'CrowdPoseDataset'
    cfg.model.head.head.out_channels = 14
    weights = str(tmp_path / 'weights.pth')
    torch.save(random_weights(cfg.model), weights)
    for gone in ((), ('data_mode', 'dataset_type', 'train_dataloader')):
        for key in gone:
            cfg.pop(key)
        (result,) = MIPNetInferencer(cfg, weights, device='cpu')(photo[0])
        assert len(result['predictions'][0][0]['keypoints']) == 14
    cfg.test_dataloader.dataset.type = 'MultiInstanceDataset'
    for build in (MIPNetInferencer, load_model):
        with pytest.raises(ValueError, match='which keypoints does the model give'):
            build(cfg, weights, device='cpu')


def test_weights_of_another_model_are_named(pose_files, tmp_path):
    config, weights = pose_files
    state = torch.load(weights, weights_only=False)
    del state['state_dict']['head.head.final_layer.bias']
    torch.save(state, tmp_path / 'less.pth')
    for build in (MIPNetInferencer, load_model):
        with pytest.raises(ValueError, match='less.pth has no weights .*final_layer'):
            build(config, str(tmp_path / 'less.pth'), device='cpu')
    bottom_up = Config.fromfile(find_config('dekr_hrnet-w32_8xb10-140e_coco-512x512'))
    with pytest.raises(ValueError, match='BottomupPoseEstimator, no TopdownPose'):
        MIPNetInferencer(bottom_up, device='cpu')


def test_limbs_of_the_keypoints_that_are_shown(photo):
    """Left hip, knee and ankle of 17: their two limbs are drawn, at their places."""
    cfg = pose_config()
    cfg.model.test_cfg = dict(output_keypoint_indices=[15, 13, 11], flip_test=False)
    inferencer = MIPNetInferencer(cfg, device='cpu')
    limbs = {tuple(sorted(limb)) for limb in inferencer.visualizer.skeleton}
    assert limbs == {(0, 1), (1, 2)}
    (result,) = inferencer(photo[0], draw_heatmap=True, return_vis=True)
    assert np.shape(result['predictions'][0][0]['keypoints']) == (3, 2)


def test_a_stock_model_gives_one_pose_per_box(photo):
    cfg = pose_config()
    cfg.model.pop('neck')
    cfg.model.head = cfg.model.head.head
    inferencer = MIPNetInferencer(cfg, device='cpu')
    image, boxes = photo
    (result,) = inferencer(image, bboxes=boxes, merge_results=False, return_vis=True)
    assert [p['box_index'] for p in result['predictions'][0]] == [0, 1, 2]
    assert {p['lambda'] for p in result['predictions'][0]} == {0}
