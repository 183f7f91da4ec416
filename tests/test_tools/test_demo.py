"""tools/demo.py as a user runs it, on a small MIPNet with random weights."""

import json
import warnings
from contextlib import nullcontext
from pathlib import Path

import cv2
import numpy as np
import pytest

from mipnet_mmpose import MIPNetInferencer, estimate_poses

from ..conftest import load_tool, run_script
from ..test_apis.conftest import model, photo, pose_files, read_video, video_file

# ruff: noqa: F401, F811 (fixtures)

demo = load_tool('demo')


@pytest.fixture
def run(pose_files, tmp_path, monkeypatch, capsys):
    """Run it; its output, its results and its folder."""

    def call(source, *args, code=None):
        config, checkpoint = pose_files
        out = tmp_path / 'out'
        argv = [source, '--config', config, '--checkpoint', checkpoint]
        argv += ['--out', out, '--device', 'cpu', *args]
        monkeypatch.setattr(warnings, 'formatwarning', warnings.formatwarning)
        ends = pytest.raises(SystemExit, match=str(code)) if code else nullcontext()
        with warnings.catch_warnings(), ends:
            run_script(demo, *argv)
        results = out / 'results.json'
        people = json.loads(results.read_text()) if results.exists() else None
        return capsys.readouterr(), people, out

    return call


@pytest.fixture
def folder(photo, tmp_path):
    """Three images, and a file that is none."""
    path = tmp_path / 'images'
    path.mkdir()
    for i, image in enumerate((photo[0], photo[0][::-1], photo[0][:, ::-1])):
        cv2.imwrite(str(path / f'{10 * i:06d}.png'), image)
    (path / '000005.jpg').write_text('no picture')
    (path / 'notes.txt').write_text('no picture')
    return path


def detections(boxes, image_ids):
    rows = []
    for image_id in image_ids:
        for left, top, right, bottom in boxes.tolist():
            box = [left, top, right - left, bottom - top]
            rows.append(dict(image_id=image_id, category_id=1, bbox=box, score=0.9))
    return rows


def assert_people(people, arrays, image_id):
    mine = [p for p in people if p['image_id'] == image_id]
    assert len(mine) == len(arrays['scores']) > 0
    poses = np.dstack([arrays['keypoints'], arrays['keypoint_scores'][..., None]])
    sizes = arrays['bboxes'][:, 2:] - arrays['bboxes'][:, :2]
    expected = {
        'keypoints': poses.reshape(len(mine), -1),
        'bbox': np.c_[arrays['bboxes'][:, :2], sizes],
        'score': arrays['scores'],
        'lambda': arrays['lambdas'],
        'box_index': arrays['box_indices'],
        'category_id': np.ones(len(mine)),
    }
    for name, values in expected.items():
        np.testing.assert_allclose([p[name] for p in mine], values, atol=1e-4)


def test_folder_with_detections(run, model, folder, photo, tmp_path):
    boxes = tmp_path / 'boxes.json'
    boxes.write_text(json.dumps(detections(photo[1], [0, 20])))
    with pytest.warns(UserWarning, match='images skipped: 1, .*000005.jpg: not a'):
        printed, people, out = run(folder, '--boxes', boxes)
    assert '4/4' in printed.err
    last = printed.out.splitlines()[-1]
    assert last.startswith('4 images, ')
    assert last.endswith(f'people: {out / "visualizations"}, {out / "results.json"}')
    assert {p['image_id'] for p in people} == {0, 20}
    for image_id in (0, 20):
        path = folder / f'{image_id:06d}.png'
        given = np.c_[photo[1], np.full(3, 0.9)]
        assert_people(people, estimate_poses(model, path, given)[0], image_id)
        picture = cv2.imread(str(out / 'visualizations' / path.name))
        assert picture.shape == (120, 160, 3)


def test_boxes_of_coco_annotations_go_by_file_name(run, folder, photo, tmp_path):
    names = {501: 'val/000010.png', 502: 'x.png'}
    images = [dict(id=i, file_name=name) for i, name in names.items()]
    people = [dict(p, category_id=4) for p in detections(photo[1], names)]
    content = dict(images=images, annotations=people)
    boxes = tmp_path / 'boxes.json'
    boxes.write_text(json.dumps(content))
    _, people, out = run(folder, '--boxes', boxes, '--no-pictures')
    assert {(p['image_id'], p['file_name']) for p in people} == {(501, '000010.png')}
    assert {p['category_id'] for p in people} == {4}
    assert not (out / 'visualizations').exists()


def test_one_image_without_boxes(run, model, folder):
    path = folder / '000020.png'
    printed, people, out = run(path)
    assert_people(people, estimate_poses(model, path)[0], 20)
    found = f'{len(people)} {"people" if len(people) > 1 else "person"}'
    picture = out / 'visualizations' / path.name
    last = f'1 image, {found}: {picture}, {out / "results.json"}'
    assert printed.out.splitlines()[-1] == last
    assert picture.is_file()
    run(path.rename(path.with_suffix('.jfif')))  # which OpenCV reads, but cannot write
    assert picture.with_suffix('.jfif.png').is_file()
    picture.unlink()  # no picture is named where there is none
    with pytest.warns(UserWarning, match='images skipped: 1'):
        printed, people, out = run(folder / '000005.jpg')
    assert printed.out.splitlines()[-1] == f'1 image, 0 people: {out / "results.json"}'
    assert people == []


def test_boxes_of_the_command_line(run, model, folder, photo):
    path = folder / '000020.png'
    given = [['--bbox', *box] for box in photo[1].tolist()]
    _, people, _ = run(path, *sum(given, []))
    assert_people(people, estimate_poses(model, path, photo[1])[0], 20)
    run(folder, *given[0], code='--bbox is of one image')
    run(path, '--det-checkpoint', 'weights.pth', code=2)  # of no --det-config


def test_video(run, model, video_file, photo, tmp_path):
    boxes = tmp_path / 'boxes.json'
    boxes.write_text(json.dumps(detections(photo[1], range(0, 12, 3))))
    with pytest.warns(UserWarning, match='boxes.json has nothing of 8 of 12'):
        printed, people, out = run(video_file, '--boxes', boxes)
    assert '12/12' in printed.err
    assert {p['image_id'] for p in people} == {0, 3, 6, 9}
    given = np.c_[photo[1], np.full(3, 0.9)]
    for i, frame in enumerate(read_video(video_file)):
        if i % 3 == 0:
            assert_people(people, estimate_poses(model, frame, given)[0], i)
    assert len(read_video(out / 'video.mp4')) == 12


def test_ctrl_c_leaves_whole_files(run, video_file, monkeypatch):
    """Ctrl-C while the seventh frame is at work."""
    forward, calls = MIPNetInferencer.forward, []

    def interrupted(self, inputs, **kwargs):
        calls.append(inputs)
        if len(calls) == 7:
            raise KeyboardInterrupt
        return forward(self, inputs, **kwargs)

    monkeypatch.setattr(MIPNetInferencer, 'forward', interrupted)
    printed, people, out = run(video_file, code=130)
    assert printed.err.endswith('\ninterrupted (the files hold what was done)\n')
    assert '6 frames, ' in printed.out
    assert {p['image_id'] for p in people} == set(range(6))
    assert len(read_video(out / 'video.mp4')) == 6


def test_the_input_is_not_overwritten(run, folder, video_file, tmp_path):
    pictures = tmp_path / 'out' / 'visualizations'
    folder.rename(tmp_path / 'images2')
    (tmp_path / 'out').mkdir()
    (tmp_path / 'images2').rename(pictures)
    video = Path(video_file).rename(tmp_path / 'out' / 'clip.mp4')
    for path in (pictures, pictures / '000020.png', video):
        run(path, code=f'{path.name} would be overwritten: give another --out')
    assert len(read_video(video)) == 12


def test_a_bad_boxes_file_is_named(run, folder, tmp_path):
    boxes = tmp_path / 'boxes.json'
    for content, message in (
        ('{', 'boxes.json: Expecting property name'),
        ('[{"image_id": 1}]', "boxes.json: there is no 'bbox'"),
        ('[{"image_id": 1, "bbox": [1, 2, 3]}]', 'boxes.json: entry 0 has bbox'),
    ):
        boxes.write_text(content)
        run(folder / '000020.png', '--boxes', boxes, code=message)
