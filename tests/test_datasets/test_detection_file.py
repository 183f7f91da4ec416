"""Each thing wrong in a ``bbox_file`` is said with file, image and key."""

import json

import pytest
from mmpose.registry import DATASETS, METRICS

from mipnet_mmpose.datasets.detection_file import check_detections
from mipnet_mmpose.datasets.json_file import load_json

from ..conftest import coco_dataset_config, person, val_pipeline

NAN = float('nan')


def box(**changes):
    entry = dict(image_id=1, category_id=1, bbox=[1, 2, 30, 40], score=0.5)
    entry.update(changes)
    return {key: value for key, value in entry.items() if value != 'gone'}


@pytest.mark.parametrize(
    ('entry', 'message'),
    [
        (box(score='gone'), r'entry 1 has no score \(1 of 2'),
        (box(category_id='gone'), 'entry 1 has no category_id'),
        (box(bbox='gone'), 'entry 1 has no bbox'),
        (
            box(image_id=7),
            'image_id 7, expected an id of the annotation file, such as 1',
        ),
        (box(image_id='1'), "image_id '1', expected a number"),
        (box(score='high'), "image_id 1 has score 'high', expected a number"),
        (box(score=None), 'has score None, expected a number'),
        (box(bbox=[1, 2, 3]), r'has bbox \[1, 2, 3\], expected 4 numbers'),
        (box(bbox=[NAN, 2, 3, 4]), r'has bbox \[nan'),
        (box(bbox=[30, 40, -5, 9]), 'expected left, top, width, height'),
        ('box', "entry 1 is 'box'"),
    ],
)
def test_a_fault_is_named(entry, message):
    with pytest.raises(ValueError, match=f'boxes.json: .*{message}'):
        check_detections([box(), entry], 'boxes.json', {1})


def test_a_file_without_a_person_is_refused():
    with pytest.raises(ValueError, match='category_id 1, .*2 detections of category 0'):
        check_detections([box(category_id=0)] * 2, 'boxes.json')
    with pytest.raises(ValueError, match='a list of dicts .* this is a dict'):
        check_detections(dict(annotations=[]), 'boxes.json')


def test_no_false_alarm(real_data):
    others = [box(category_id=3, image_id=99, score='gone')]
    entries = [box(), box(), box(score='0.9'), box(bbox=[1, 2, 3, 4, 0.5]), *others]
    entries += [box(bbox=[1, 2, 0, 4], area=0, track_id=5)]
    assert len(check_detections(entries, 'boxes.json', {1})) == 5
    assert len(check_detections(entries, 'boxes.json', None, None, ['bbox'])) == 6
    for folder, name in (('coco_det', 'coco'), ('crowdpose', 'crowdpose')):
        content = load_json(str(real_data / folder / f'test_{name}.json'))
        (path,) = (real_data / folder).glob('test_*_det_*.json')
        ids = {image['id'] for image in content['images']}
        assert check_detections(load_json(str(path)), str(path), ids)


def test_boxes_of_another_category_than_the_annotations(coco_folder):
    """Stock MMPose gives an AP of 0 where every pose is right."""
    folder = coco_folder([person(1, 1, 20, 10, 60, 90, category_id=5)])
    path = folder / 'annotations.json'
    content = json.loads(path.read_text())
    content['categories'][0]['id'] = 5
    path.write_text(json.dumps(content))
    boxes = folder / 'boxes.json'
    boxes.write_text(json.dumps([box()]))
    stock = coco_dataset_config(
        folder, val_pipeline(), test_mode=True, bbox_file=str(boxes)
    )
    with pytest.raises(ValueError, match='annotations.json: .*category 1'):
        DATASETS.build(dict(type='MultiInstanceDataset', dataset=stock))
    dataset = DATASETS.build(stock)
    sample = dataset[0]['data_samples']
    metric = METRICS.build(
        dict(type='MultiInstanceCocoMetric', ann_file=str(path), num_instances=1)
    )
    metric.dataset_meta = dataset.metainfo
    keypoints = sample.gt_instances.keypoints
    poses = dict(keypoints=keypoints, keypoint_scores=keypoints[..., 0] + 1)
    sample = dict(sample.to_dict(), pred_instances=poses)
    with pytest.raises(ValueError, match=r'image_id 1 is of category 1, .* id \[5\]'):
        metric.process({}, [sample])
