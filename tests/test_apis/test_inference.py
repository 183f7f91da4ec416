"""Poses from images and boxes, without files around."""

import json

import cv2
import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmpose.apis import inference_topdown, init_model
from mmpose.registry import DATASETS, METRICS
from PIL import Image

from mipnet_mmpose import estimate_poses, load_model

from ..conftest import CODEC, coco_dataset_config, person, val_pipeline
from .conftest import pose_config

FIELDS = ('keypoints', 'keypoint_scores', 'scores', 'lambdas')
FIELDS += ('bboxes', 'bbox_scores', 'box_indices')


def assert_same(people, others, atol=1e-4):
    for field in FIELDS:
        np.testing.assert_allclose(people[field], others[field], atol=atol)


@pytest.mark.parametrize(
    'settings',
    [{}, dict(score_decay=0.8, nms_thr=0.4, score_mode='keypoint')],
    ids=['defaults', 'settings'],
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
        entry = dict(image_id=a['image_id'], category_id=1, bbox=box)
        detections.append(dict(entry, score=rng.uniform(0.3, 1)))
    file = folder / 'detections.json'
    file.write_text(json.dumps(detections))
    test = dict(test_mode=True, bbox_file=str(file))
    dataset = DATASETS.build(coco_dataset_config(folder, val_pipeline(CODEC), **test))
    samples = model.test_step(pseudo_collate([dataset[i] for i in range(len(dataset))]))
    out = dict(format_only=True, outfile_prefix=str(tmp_path / 'metric'))
    out['ann_file'] = str(folder / 'annotations.json')
    metric = METRICS.build(dict(out, type='MultiInstanceCocoMetric', **settings))
    metric.dataset_meta = dataset.metainfo
    metric.process([], [sample.to_dict() for sample in samples])
    metric.compute_metrics(metric.results)
    expected = json.loads((tmp_path / 'metric.keypoints.json').read_text())

    images = [folder / f'{i:06d}.png' for i in range(2)]
    results = estimate_poses(model, images, file, batch_size=5, **settings)
    for image_id, people in enumerate(results):
        mine = [e for e in expected if e['image_id'] == image_id]
        poses = np.dstack([people['keypoints'], people['keypoint_scores'][..., None]])
        assert len(mine) < 12  # some were merged
        given = [e['keypoints'] for e in mine]
        np.testing.assert_allclose(poses.reshape(len(mine), -1), given, atol=1e-4)
        scores = [e['score'] for e in mine]
        np.testing.assert_allclose(people['scores'], scores, atol=1e-6)


def test_settings_come_from_the_config(model, photo):
    chosen = dict(score_decay=0.9, nms_thr=0.3)
    expected = estimate_poses(model, *photo, **chosen)[0]
    metric = dict(type='MultiInstanceCocoMetric', **chosen)
    for evaluator in (metric, [dict(type='AUC'), metric], dict(metrics=[metric])):
        model.cfg.test_evaluator = evaluator
        assert_same(estimate_poses(model, *photo)[0], expected)
    defaults = estimate_poses(model, *photo, score_decay=0.5, nms_thr=0.9)[0]
    assert defaults['scores'].min() < expected['scores'].min()
    model.cfg.pop('test_evaluator')
    assert_same(estimate_poses(model, *photo)[0], defaults)
    with pytest.raises(TypeError, match="unexpected keyword argument 'oks_thr'"):
        estimate_poses(model, *photo, oks_thr=0.5)


def test_all_poses_of_every_box_are_those_of_stock_inference(model, photo):
    people = estimate_poses(model, *photo, nms_mode='none')[0]
    samples = inference_topdown(model, *photo)
    stock = np.concatenate([s.pred_instances.keypoints for s in samples])
    np.testing.assert_allclose(people['keypoints'], stock, atol=1e-4)
    assert people['box_indices'].tolist() == [0, 0, 1, 1, 2, 2]
    assert people['lambdas'].tolist() == [0, 1] * 3
    assert not np.allclose(stock[0], stock[1])


def test_batches_change_nothing(model, photo):
    image, boxes = photo
    images, given = [image, image[::-1], image], [boxes, [], boxes[1:]]
    expected = estimate_poses(model, images, given)
    for people, others in zip(estimate_poses(model, images, given, 2), expected):
        assert_same(people, others)
    assert_same(estimate_poses(model, image, np.zeros((0, 4)))[0], expected[1])
    nobody, people = expected[1:]
    assert nobody['keypoints'].shape == (0, 17, 2)
    assert nobody['bboxes'].shape == (0, 4)
    assert all(len(nobody[field]) == 0 for field in FIELDS)
    assert len(people['scores'])


def test_boxes_of_another_shape_are_refused(model, photo):
    image, boxes = photo
    with pytest.raises(ValueError, match='got 3 entries for 2 images'):
        estimate_poses(model, [image, image], [boxes] * 3)
    with pytest.raises(ValueError, match=r'of shapes \[\(4,\)'):
        estimate_poses(model, [image, image], [[1, 2, 3, 4], []])


def test_boxes_that_hold_nothing_are_skipped_with_a_count(model, photo):
    image, boxes = photo
    nan, inf = [np.nan, 10, 50, 50], [0, 0, np.inf, 50]
    nothing = [[30, 10, 30, 90], [90, 110, 20, 10], [500, 10, 600, 90], nan, inf]
    given = [[*nothing[:2], *boxes[:2], *nothing[2:], boxes[2]]] * 2
    with pytest.warns(UserWarning, match=r'boxes skipped: 10, .*000.jpg: \[30'):
        people = estimate_poses(model, [image, image], given)[1]
    expected = estimate_poses(model, image, boxes)[0]
    np.testing.assert_array_equal(people['keypoints'], expected['keypoints'])
    assert (people['box_indices'] == np.array([2, 3, 7])[expected['box_indices']]).all()


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


def test_unreadable_files_do_not_end_the_batch(model, photo, tmp_path):
    image, boxes = photo
    for suffix in ('jpg', 'png'):
        data = cv2.imencode(f'.{suffix}', image)[1].tobytes()
        (tmp_path / f'cut.{suffix}').write_bytes(data[: len(data) // 2])
    (tmp_path / 'empty.jpg').write_bytes(b'')
    (tmp_path / 'text.jpg').write_text('no picture')
    cv2.imwrite(str(tmp_path / 'good.png'), image)
    names = ['cut.jpg', 'cut.png', 'good.png', 'empty.jpg', 'text.jpg', 'gone.jpg']
    images = [*(tmp_path / name for name in names), image[..., 0]]
    with pytest.warns(UserWarning, match='skipped: 6, .*cut.jpg: not a readable'):
        results = estimate_poses(model, images, [boxes] * 7)
    assert [len(people['scores']) > 0 for people in results] == [0, 0, 1, 0, 0, 0, 0]
    assert_same(results[2], estimate_poses(model, image, boxes)[0])
    with pytest.warns(UserWarning, match=r'skipped: 1, .*got shape \(120, 160\)'):
        estimate_poses(model, image[..., 0])


def test_a_wrapped_test_set_is_looked_into(model, photo):
    expected = estimate_poses(model, *photo)[0]
    loader = model.cfg.test_dataloader
    repeated = dict(type='RepeatDataset', dataset=loader.dataset, times=2)
    loader.dataset = dict(type='MultiInstanceDataset', dataset=repeated)
    assert_same(estimate_poses(model, *photo)[0], expected)


def test_untrained_mimbs_answer_nowhere(pose_files, photo, tmp_path):
    """Weights of the stock model inside, as a training starts from."""
    weights = torch.load(pose_files[1], weights_only=False)
    state = weights['state_dict']
    weights['state_dict'] = {k: v for k, v in state.items() if '.mimbs.' not in k}
    stock_checkpoint = str(tmp_path / 'stock.pth')
    torch.save(weights, stock_checkpoint)
    model = init_model(pose_files[0], stock_checkpoint, device='cpu')
    with pytest.raises(ValueError, match='no weights for 1 of the 1 MIMBs'):
        estimate_poses(model, photo[0])
    with pytest.raises(ValueError, match='stock.pth has no weights for 1 of'):
        load_model(pose_files[0], stock_checkpoint, device='cpu')


def test_keypoints_that_are_not_those_of_the_metainfo_are_named(photo):
    cfg = pose_config()
    cfg.model.head.head.out_channels = 9
    cfg.model.test_cfg.flip_test = False
    model = init_model(cfg, device='cpu')
    with pytest.raises(ValueError, match='9 keypoints, the metainfo .* 17'):
        estimate_poses(model, *photo)


def test_who_is_not_there_is_left_out(pose_files, photo):
    """Presence below the threshold: one person a box, and all else as it was."""
    image, boxes = photo
    for probability in (0.9, 0.97):
        cfg = pose_config()
        bias = np.log(probability / (1 - probability))
        cfg.model.head.presence = dict(score=0, oks=0, bias=bias)
        model = init_model(cfg, pose_files[1], device='cpu')
        high, low = (
            estimate_poses(model, *photo, nms_thr=1, presence_thr=threshold)[0]
            for threshold in (0.95, 0.3)
        )
        second = low['lambdas'] == 1
        assert second.sum() == (~second).sum() == len(boxes)
        np.testing.assert_allclose(low['presence'][second], probability, rtol=1e-5)
        assert (low['presence'][~second] == 1).all()
        assert high['lambdas'].sum() == len(boxes) * (probability > 0.95)
    every = estimate_poses(model, *photo, nms_mode='none', presence_thr=1)[0]
    assert len(every['keypoints']) == 2 * len(boxes)
    assert estimate_poses(model, image, [boxes[:0]])[0]['presence'].shape == (0,)
