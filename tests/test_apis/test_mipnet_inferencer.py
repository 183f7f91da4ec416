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

# isort: split
from mmpose.apis import MMPoseInferencer

from .conftest import pose_config, random_weights


@pytest.fixture(scope='module')
def inferencer(pose_files):
    return MIPNetInferencer(*pose_files, device='cpu')


@pytest.fixture
def photo_file(photo, tmp_path):
    path = tmp_path / 'photo.png'
    cv2.imwrite(str(path), photo[0])
    return str(path)


@pytest.fixture
def video_file(tmp_path):
    """Twelve frames of moving noise, MJPEG."""
    noise = np.random.default_rng(0).integers(0, 255, (14, 32, 3), np.uint8)
    noise = cv2.resize(noise, (320, 140), interpolation=cv2.INTER_CUBIC)
    path = tmp_path / 'video.avi'
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*'MJPG'), 25, (160, 120))
    for i in range(12):
        writer.write(noise[i : i + 120, 8 * i : 8 * i + 160])
    writer.release()
    return str(path)


def read_video(path):
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        read, frame = capture.read()
        if not read:
            return frames
        frames.append(frame)


def assert_people(prediction, arrays, atol=1e-4):
    """People as dicts are those of ``estimate_poses``."""
    assert len(prediction) == len(arrays['scores'])
    for i, person in enumerate(prediction):
        np.testing.assert_allclose(
            person['keypoints'], arrays['keypoints'][i], atol=atol
        )
        np.testing.assert_allclose(
            person['keypoint_scores'], arrays['keypoint_scores'][i], atol=atol
        )
        np.testing.assert_allclose(person['bbox'][0], arrays['bboxes'][i], atol=atol)
        assert person['score'] == pytest.approx(arrays['scores'][i], abs=atol)
        assert person['lambda'] == arrays['lambdas'][i]
        assert person['box_index'] == arrays['box_indices'][i]


def test_every_person_has_what_mmpose_gives_and_more(
    inferencer, pose_files, photo_file
):
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
    for inputs in (
        Path(photo_file),
        image,
        [image],
        [photo_file],
        Path(photo_file).parent,
    ):
        (result,) = inferencer(inputs)
        assert result['predictions'] == one['predictions']
    for result in inferencer([photo_file, image, photo_file]):
        assert_people(result['predictions'][0], estimate_poses(model, image)[0])


@pytest.mark.parametrize(
    ('inputs', 'message'),
    [
        ('gone.jpg', 'gone.jpg: no such file'),
        ('gone.mp4', 'gone.mp4: no such file'),
        (__file__, 'inferencer.py: no image, no readable video, no folder'),
    ],
)
def test_a_missing_input_is_named(inferencer, inputs, message):
    with pytest.raises(ValueError, match=message):
        next(inferencer(inputs))


def test_an_unreadable_image_is_skipped_with_a_count(inferencer, photo, photo_file):
    image, boxes = photo
    inputs = [photo_file, 'gone.jpg', image]
    with pytest.warns(UserWarning, match='skipped: 1, .*gone.jpg: not a readable'):
        results = list(inferencer(inputs, bboxes=[boxes] * 3, return_vis=True))
    assert [len(r['predictions'][0]) > 0 for r in results] == [True, False, True]
    pictures = [result['visualization'][0] for result in results]
    assert pictures[1] is None
    np.testing.assert_array_equal(pictures[0], pictures[2])


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


def test_a_video_that_is_left_early_is_still_whole(inferencer, video_file, tmp_path):
    results = inferencer(video_file, out_dir=str(tmp_path / 'out'))
    for _ in range(4):
        next(results)
    results.close()
    assert len(read_video(tmp_path / 'out' / 'visualizations' / 'video.avi')) == 4
    predictions = tmp_path / 'out' / 'predictions' / 'video.json'
    assert len(json.loads(predictions.read_text())) == 4


def test_frames_that_a_header_promises_are_no_frames(inferencer, video_file, tmp_path):
    data = Path(video_file).read_bytes()
    cut = tmp_path / 'cut.avi'
    cut.write_bytes(data[: len(data) // 2])
    readable = len(read_video(cut))
    assert 2 < readable < 12
    assert len(list(inferencer(str(cut)))) == readable


def test_keypoints_are_found_in_the_config(photo, tmp_path):
    """A checkpoint without dataset_meta, of a dataset that is not COCO."""
    cfg = pose_config()
    cfg.train_dataloader.dataset.dataset.type = 'CrowdPoseDataset'
    cfg.test_dataloader.dataset.type = 'CrowdPoseDataset'
    cfg.model.head.head.out_channels = 14
    weights = str(tmp_path / 'weights.pth')
    torch.save(random_weights(cfg.model), weights)
    whole = cfg.to_dict()
    without = {'data_mode', 'dataset_type', 'train_dataloader'}
    for keys in (set(whole), set(whole) - without):
        cfg = Config({key: whole[key] for key in keys})
        (result,) = MIPNetInferencer(cfg, weights, device='cpu')(photo[0])
        assert len(result['predictions'][0][0]['keypoints']) == 14
    cfg.test_dataloader.dataset.type = 'MultiInstanceDataset'
    for build in (MIPNetInferencer, load_model):
        with pytest.raises(ValueError, match='which keypoints does the model give'):
            build(cfg, weights, device='cpu')


def test_limbs_of_the_keypoints_that_are_shown(photo, tmp_path):
    """Left hip, knee and ankle of 17: their two limbs are drawn, at their places."""
    cfg = pose_config()
    cfg.model.test_cfg = dict(output_keypoint_indices=[15, 13, 11], flip_test=False)
    inferencer = MIPNetInferencer(cfg, device='cpu')
    limbs = {tuple(sorted(limb)) for limb in inferencer.visualizer.skeleton}
    assert limbs == {(0, 1), (1, 2)}
    (result,) = inferencer(photo[0], draw_heatmap=True, return_vis=True)
    assert np.shape(result['predictions'][0][0]['keypoints']) == (3, 2)


def test_a_stock_model_gives_one_pose_per_box(photo, tmp_path):
    cfg = pose_config()
    cfg.model.pop('neck')
    cfg.model.head = cfg.model.head.head
    cfg.dump(tmp_path / 'config.py')
    inferencer = MIPNetInferencer(str(tmp_path / 'config.py'), device='cpu')
    image, boxes = photo
    (result,) = inferencer(image, bboxes=boxes, merge_results=False, return_vis=True)
    assert [p['box_index'] for p in result['predictions'][0]] == [0, 1, 2]
    assert {p['lambda'] for p in result['predictions'][0]} == {0}
