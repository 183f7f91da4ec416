"""Poses from images and boxes, without files around."""

import json
import warnings

import cv2
import numpy as np
import pytest
from mmengine.dataset import Compose, pseudo_collate
from mmpose.apis import inference_topdown, init_model
from mmpose.registry import DATASETS, METRICS
from PIL import Image

from mipnet_mmpose import estimate_poses
from mipnet_mmpose.apis.merge_boxes import merge_settings
from mipnet_mmpose.apis.predict_images import box_image, predict_images
from mipnet_mmpose.apis.skipped import Skipped

from ..conftest import coco_dataset_config, person, val_pipeline
from .conftest import CODEC, pose_config

FIELDS = ('keypoints', 'keypoint_scores', 'scores', 'lambdas') + (
    'bboxes',
    'bbox_scores',
    'box_indices',
)


def assert_same(people, others, atol=1e-4):
    for field in FIELDS:
        np.testing.assert_allclose(people[field], others[field], atol=atol)


@pytest.mark.parametrize(
    'settings',
    [{}, dict(score_decay=0.8, nms_thr=0.4), dict(score_mode='keypoint')],
    ids=['defaults', 'decay and threshold', 'score mode'],
)
def test_result_is_that_of_the_metric(model, coco_folder, tmp_path, settings):
    """Dataset, collate, model and metric of MMPose's test loop on detections."""
    annotations = [
        person(i, i // 3, 10 + 15 * (i % 3), 10, 60, 90, area=5000) for i in range(6)
    ]
    folder = coco_folder(annotations)
    rng = np.random.default_rng(1)
    detections = []
    for i, a in enumerate(annotations * 2):  # every other box comes twice
        box = (np.array(a['bbox']) + (i % 2) * rng.normal(0, 2, 4)).tolist()
        score = rng.uniform(0.3, 1)
        detections.append(
            dict(image_id=a['image_id'], category_id=1, bbox=box, score=score)
        )
    (folder / 'detections.json').write_text(json.dumps(detections))
    dataset = DATASETS.build(
        coco_dataset_config(
            folder,
            val_pipeline(CODEC),
            test_mode=True,
            bbox_file=str(folder / 'detections.json'),
        )
    )
    samples = model.test_step(pseudo_collate([dataset[i] for i in range(len(dataset))]))
    metric = METRICS.build(
        dict(
            type='MultiInstanceCocoMetric',
            ann_file=str(folder / 'annotations.json'),
            format_only=True,
            outfile_prefix=str(tmp_path / 'metric'),
            **settings,
        )
    )
    metric.dataset_meta = dataset.metainfo
    metric.process([], [sample.to_dict() for sample in samples])
    metric.compute_metrics(metric.results)
    expected = json.loads((tmp_path / 'metric.keypoints.json').read_text())

    boxes = []
    for image_id in range(2):
        rows = [
            [*d['bbox'], d['score']] for d in detections if d['image_id'] == image_id
        ]
        rows = np.array(rows, dtype=np.float32)
        rows[:, 2:4] += rows[:, :2]
        boxes.append(rows)
    images = [folder / f'{i:06d}.png' for i in range(2)]
    results = estimate_poses(model, images, boxes, batch_size=5, **settings)
    for image_id, people in enumerate(results):
        mine = [e for e in expected if e['image_id'] == image_id]
        keypoints = np.array([e['keypoints'] for e in mine]).reshape(-1, 17, 3)
        assert len(mine) < 12  # some were merged
        np.testing.assert_allclose(people['keypoints'], keypoints[..., :2], atol=1e-4)
        np.testing.assert_allclose(
            people['keypoint_scores'], keypoints[..., 2], atol=1e-4
        )
        scores = [e['score'] for e in mine]
        np.testing.assert_allclose(people['scores'], scores, atol=1e-6)


def test_settings_come_from_the_config(model, photo):
    image, boxes = photo
    chosen = estimate_poses(model, [image], [boxes], score_decay=0.9, nms_thr=0.3)[0]
    model.cfg.test_evaluator = [
        dict(type='CocoMetric', score_decay=0.9, nms_thr=0.3, ann_file='a.json')
    ]
    assert_same(estimate_poses(model, [image], [boxes])[0], chosen)
    model.cfg.test_evaluator = dict(type='MultiInstanceCocoMetric')
    defaults = estimate_poses(model, [image], [boxes])[0]
    given = dict(score_decay=0.5, nms_thr=0.9)
    assert_same(estimate_poses(model, [image], [boxes], **given)[0], defaults)
    assert defaults['scores'].min() < chosen['scores'].min()
    with pytest.raises(ValueError, match="unknown settings .'oks_thr'."):
        estimate_poses(model, [image], [boxes], oks_thr=0.5)


def test_all_poses_of_every_box_are_those_of_stock_inference(model, photo):
    image, boxes = photo
    people = estimate_poses(model, [image], [boxes], nms_mode='none')[0]
    samples = inference_topdown(model, image, boxes)
    stock = np.concatenate([s.pred_instances.keypoints for s in samples])
    np.testing.assert_allclose(people['keypoints'], stock, atol=1e-4)
    assert people['box_indices'].tolist() == [0, 0, 1, 1, 2, 2]
    assert people['lambdas'].tolist() == [0, 1] * 3
    assert not np.allclose(stock[0], stock[1])


def test_batches_change_nothing(model, photo):
    image, boxes = photo
    images = [image, image[::-1], image[:, ::-1], image]
    given = [boxes, [], boxes[:2], boxes[1:]]
    expected = estimate_poses(model, images, given, batch_size=100)
    for batch_size in (1, 3):
        results = estimate_poses(model, images, given, batch_size=batch_size)
        for people, others in zip(results, expected):
            assert_same(people, others)


def test_many_images_without_boxes_do_not_wait(model, photo):
    """A box that fills no batch holds back no more images than a batch has."""
    image, boxes = photo
    taken = []

    def images():
        for i in range(100):
            taken.append(i)
            given = boxes[:1] if i == 0 else []
            yield box_image(image, i, given, pipeline, Skipped())

    pipeline = Compose(model.cfg.test_dataloader.dataset.pipeline)
    people = predict_images(model, pipeline, images(), merge_settings(model.cfg), 4)
    next(people)
    assert len(taken) == 5
    assert len(list(people)) == 99


def test_without_boxes_the_whole_image_is_the_box(model, photo):
    image, _ = photo
    whole = estimate_poses(model, image)[0]
    assert_same(whole, estimate_poses(model, image, [[0, 0, 160, 120]])[0])
    assert whole['bboxes'].tolist() == [[0, 0, 160, 120]] * len(whole['scores'])


def test_an_image_with_no_boxes_has_nobody(model, photo):
    image, boxes = photo
    nobody, people = estimate_poses(model, [image, image], [[], boxes])
    assert nobody['keypoints'].shape == (0, 17, 2)
    assert nobody['bboxes'].shape == (0, 4)
    assert all(len(nobody[field]) == 0 for field in FIELDS)
    assert len(people['scores'])


def test_five_hundred_boxes(model, photo):
    image, _ = photo
    rng = np.random.default_rng(0)
    start = rng.uniform(0, 60, (500, 2))
    boxes = np.concatenate([start, start + rng.uniform(20, 60, (500, 2))], axis=1)
    people = estimate_poses(model, image, boxes, nms_mode='none')[0]
    assert people['box_indices'].tolist() == np.repeat(np.arange(500), 2).tolist()
    last = estimate_poses(model, image, boxes[[499]], nms_mode='none')[0]
    np.testing.assert_allclose(people['keypoints'][-2:], last['keypoints'], atol=1e-4)


def test_unusable_boxes_are_skipped_and_counted(model, photo):
    image, boxes = photo
    bad = [
        [np.nan, 10, 50, 50],
        [10, 10, np.inf, 50],
        [200, 10, 260, 50],  # right of the image
        [-60, 10, -20, 50],
        [50, 10, 40, 50],  # negative width
        [50, 10, 50, 50],
        [0, 0, 1e30, 1e30],
    ]
    mixed = np.concatenate([bad[:4], boxes[:1], bad[4:], boxes[1:]])
    with pytest.warns(UserWarning, match='skipped 7 boxes that are not finite'):
        people = estimate_poses(model, image, mixed)[0]
    good = estimate_poses(model, image, boxes)[0]
    places = np.array([4, 8, 9])
    assert_same(people, dict(good, box_indices=places[good['box_indices']]))


def test_a_box_that_leaves_the_image_is_not_clipped(model, photo):
    image, _ = photo
    box = np.array([[-30, -20, 70, 90]], dtype=np.float32)
    people = estimate_poses(model, image, box, nms_mode='none')[0]
    stock = inference_topdown(model, image, box)[0].pred_instances
    np.testing.assert_allclose(people['keypoints'], stock.keypoints, atol=1e-4)


@pytest.mark.parametrize(
    ('boxes', 'message'),
    [
        ([[[1, 2, 3, 4]]] * 3, 'bboxes has 3 entries for 2 images'),
        ([[[1, 2, 3]], []], 'got shape .1, 3.'),
        ([[1, 2, 3, 4], []], 'got shape .4,.'),
    ],
)
def test_boxes_of_another_shape_are_refused(model, photo, boxes, message):
    image, _ = photo
    with pytest.raises(ValueError, match=message):
        estimate_poses(model, [image, image], boxes)


def write_kinds(folder, image):
    """The picture in the kinds of files people have; what a decoder makes of it."""
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    alpha = np.full(grey.shape, 128, np.uint8)
    files = dict(
        grey=('grey.png', grey),
        grey_jpeg=('grey.jpg', grey),
        rgba=('rgba.png', np.dstack([image, alpha])),
        deep=('deep.png', image.astype(np.uint16) * 257),
        deep_grey=('deep_grey.png', grey.astype(np.uint16) * 257),
        one_pixel=('one_pixel.png', image[:1, :1]),
    )
    for name, pixels in files.values():
        assert cv2.imwrite(str(folder / name), pixels)
    grey = np.dstack([grey] * 3)
    return {
        'grey.png': grey,
        'rgba.png': image,
        'deep.png': image,
        'deep_grey.png': grey,
        'one_pixel.png': image[:1, :1],
        'grey.jpg': cv2.imread(str(folder / 'grey.jpg')),
    }


def test_every_kind_of_file_is_read_as_its_picture(model, photo, tmp_path):
    image, boxes = photo
    kinds = write_kinds(tmp_path, image)
    files = [tmp_path / name for name in kinds]
    given = [boxes if pixels.size > 3 else [[0, 0, 1, 1]] for pixels in kinds.values()]
    with warnings.catch_warnings():
        warnings.simplefilter('error', UserWarning)
        results = estimate_poses(model, files, given)
        expected = estimate_poses(model, list(kinds.values()), given)
    for people, others in zip(results, expected):
        assert len(people['scores'])
        assert_same(people, others)


@pytest.mark.parametrize('orientation', [3, 6])
def test_a_photograph_is_turned_as_its_exif_says(model, photo, tmp_path, orientation):
    image, boxes = photo
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / 'turned.png'
    Image.fromarray(image[..., ::-1]).save(path, exif=exif)
    turn = {3: cv2.ROTATE_180, 6: cv2.ROTATE_90_CLOCKWISE}[orientation]
    upright = cv2.rotate(image, turn)
    people = estimate_poses(model, path)[0]
    assert people['bboxes'][0].tolist() == [0, 0, upright.shape[1], upright.shape[0]]
    assert_same(people, estimate_poses(model, upright)[0])


def test_arrays_may_be_grey_or_have_alpha(model, photo):
    image, boxes = photo
    grey = cv2.cvtColor(image, cv2.COLOR_BGR2GRAY)
    alpha = np.dstack([image, grey])
    results = estimate_poses(model, [grey, grey[..., None], alpha], [boxes] * 3)
    expected = estimate_poses(model, [np.dstack([grey] * 3), image], [boxes] * 2)
    for people, i in zip(results, (0, 0, 1)):
        assert_same(people, expected[i])


@pytest.mark.parametrize(
    ('array', 'message'),
    [
        (np.full((20, 20, 3), 256, np.uint16), 'uint16 array goes from 256 to 256'),
        (np.full((20, 20, 3), 0.5, np.float32), 'at most 0.5: multiply by 255'),
        (np.zeros((20, 20, 2), np.uint8), 'got shape .20, 20, 2.'),
        (np.zeros((0, 20, 3), np.uint8), 'got shape .0, 20, 3.'),
    ],
)
def test_other_arrays_are_skipped_with_the_reason(model, photo, array, message):
    image, boxes = photo
    with pytest.warns(
        UserWarning, match=f'skipped 1 images .*number 1, an image .*{message}'
    ):
        results = estimate_poses(model, [image, array, image], [boxes] * 3)
    assert len(results[1]['scores']) == 0
    assert_same(results[0], results[2])


def test_unreadable_files_do_not_end_the_batch(model, photo, tmp_path):
    image, boxes = photo
    for suffix in ('jpg', 'png'):
        data = cv2.imencode(f'.{suffix}', image)[1].tobytes()
        (tmp_path / f'cut.{suffix}').write_bytes(data[: len(data) // 2])
    (tmp_path / 'empty.jpg').write_bytes(b'')
    (tmp_path / 'text.jpg').write_text('no picture')
    cv2.imwrite(str(tmp_path / 'good.png'), image)
    names = ['cut.jpg', 'cut.png', 'good.png', 'empty.jpg', 'text.jpg', 'gone.jpg']
    with pytest.warns(UserWarning, match='skipped 5 images .*cut.jpg: not a readable'):
        results = estimate_poses(model, [tmp_path / n for n in names], [boxes] * 6)
    assert [len(people['scores']) > 0 for people in results] == [
        name == 'good.png' for name in names
    ]
    assert_same(results[2], estimate_poses(model, image, boxes)[0])


def test_a_wrapped_test_set_is_looked_into(model, photo):
    image, boxes = photo
    expected = estimate_poses(model, image, boxes)[0]
    dataset = model.cfg.test_dataloader.dataset
    repeated = dict(type='RepeatDataset', dataset=dataset, times=2)
    model.cfg.test_dataloader.dataset = dict(
        type='MultiInstanceDataset', dataset=repeated
    )
    assert_same(estimate_poses(model, image, boxes)[0], expected)


def test_who_is_not_there_is_left_out(pose_files, photo):
    """Presence below the threshold: one person a box, and all else as it was."""
    cfg = pose_config()
    cfg.model.head.presence = dict()
    model = init_model(cfg, pose_files[1], device='cpu')
    model.head.presence.fc.weight.data.zero_()
    image, boxes = photo
    people = {}
    for probability in (0.9, 0.97):
        bias = np.log(probability / (1 - probability))
        model.head.presence.fc.bias.data.fill_(bias)
        people[probability] = estimate_poses(model, image, [boxes], nms_thr=1)[0]
        low = estimate_poses(model, image, [boxes], nms_thr=1, presence_thr=0.3)[0]
        assert len(low['keypoints']) == 2 * len(boxes)
        second = low['lambdas'] == 1
        np.testing.assert_allclose(low['presence'][second], probability, rtol=1e-5)
        assert (low['presence'][~second] == 1).all()
    assert people[0.9]['lambdas'].tolist() == [0] * len(boxes)
    both = [0] * len(boxes) + [1] * len(boxes)
    assert sorted(people[0.97]['lambdas'].tolist()) == both
    every = estimate_poses(model, image, [boxes], nms_mode='none', presence_thr=1)[0]
    assert len(every['keypoints']) == 2 * len(boxes)
    assert estimate_poses(model, image, [boxes[:0]])[0]['presence'].shape == (0,)
