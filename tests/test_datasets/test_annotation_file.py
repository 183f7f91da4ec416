"""A fault in an annotation file is said with file, id and key; right files pass."""

import copy
import json

import pytest
from mmengine.logging import MMLogger
from mmpose.registry import DATASETS, METRICS

from mipnet_mmpose.datasets.annotation_file import (
    check_annotations,
    check_ground_truth,
    check_persons,
)
from mipnet_mmpose.datasets.json_file import load_json

from ..conftest import coco_dataset_config, person, train_pipeline

NAN = float('nan')


def right():
    """Three persons in two images, as COCO and CrowdPose have them."""
    images = [
        dict(id=i, file_name=f'{i:06d}.png', width=160, height=120, crowdIndex=0.5)
        for i in (1, 2)
    ]
    persons = [person(i, 1 + i // 2, 10 * i, 10, 60, 80) for i in (1, 2, 3)]
    return dict(
        images=images, annotations=persons, categories=[dict(id=1, name='person')]
    )


def put(name, index=None, **values):
    """Change an entry of a list, or each of them; ``None`` takes a key away."""

    def change(content):
        entries = content[name] if index is None else [content[name][index]]
        for entry in entries:
            for key, value in values.items():
                if value is None:
                    entry.pop(key, None)
                else:
                    entry[key] = value

    return change


def put_null(name, index, key):
    def change(content):
        content[name][index][key] = None

    return change


def without(name):
    return lambda content: content.pop(name)


def ids_from_one_in_each_image(content):
    for i, annotation in enumerate(content['annotations']):
        annotation['id'] = 1 + i // 2


def check_all(content, **options):
    check_annotations(content, 'a.json')
    check_persons(content, 'a.json', 17, 'train_dataloader.dataset')
    check_ground_truth(content, 'a.json', dict(keypoints=17), **options)


FAULTS = [
    ('annotations', without('images'), 'images is missing'),
    ('annotations', put('images', 1, id=1), "images has id 1 2 times, of '000001.png'"),
    ('annotations', put('images', id='im'), r'images\[0\]: id is .im. \(str\)'),
    ('annotations', put('images', 1, id=None), r'images\[1\] has no id \(1 of 2'),
    ('annotations', ids_from_one_in_each_image, 'id 1 2 times, of 1, 2: each needs'),
    ('annotations', put('annotations', image_id=9), 'image_id of all 3 annotations'),
    ('annotations', put('annotations', 2, id=[3]), r'annotations\[2\]: id is \[3\]'),
    ('persons', put('images', 1, width=None), r'images\[1\], id 2 has no width'),
    ('persons', put('images', 0, height=0), 'images, id 1: height is 0'),
    (
        'persons',
        put('images', 1, file_name=None),
        r'images\[1\], id 2 has no file_name',
    ),
    ('persons', put_null('annotations', 0, 'bbox'), 'id 1: bbox is None'),
    ('persons', put('annotations', 1, bbox=[1, 2, 3]), 'id 2: bbox has 3 numbers'),
    ('persons', put('annotations', 1, keypoints=[NAN] * 51), 'id 2: keypoints has NaN'),
    ('persons', put('annotations', keypoints=[1.0, 2, 2] * 5), 'have 5 keypoints, but'),
    (
        'ground_truth',
        put('annotations', area=None),
        'id 1 has no area .*use_area=False',
    ),
    ('ground_truth', put('annotations', 1, area=None), 'id 2 has no area .1 of 3'),
    ('ground_truth', put('annotations', area=[400]), r'id 1: area is \[400\] \(list\)'),
    ('ground_truth', put('annotations', 2, area='9'), r"id 3: area is '9' \(str\)"),
    (
        'ground_truth',
        put('annotations', area=0),
        'all 3 annotations have an area of less',
    ),
    ('ground_truth', put('annotations', 2, area=-9), 'id 3: area is -9'),
    ('ground_truth', put('annotations', 2, area=NAN), 'id 3: area is nan'),
    ('ground_truth', without('categories'), 'categories is missing'),
    ('ground_truth', put('categories', id=5), 'category_id 1, categories has id 5'),
    (
        'ground_truth',
        put('annotations', category_id=5),
        'category_id 5, categories .* 1',
    ),
    ('ground_truth', put('annotations', 0, id='p0'), "id 'p0': COCO cannot count it"),
    ('ground_truth', put('annotations', 0, id=-4), 'id -4: COCO cannot count it'),
    ('ground_truth', put('annotations', iscrowd=1), 'none of 3 annotations'),
    ('ground_truth', put('annotations', 1, keypoints=None), 'id 2 has no keypoints'),
    ('ground_truth', put('annotations', 1, bbox=None), 'id 2 has no bbox'),
    ('ground_truth', without('annotations'), 'format_only=True'),
    ('crowd', put('annotations', num_keypoints=None), 'id 1 has no num_keypoints'),
    (
        'crowd',
        put('images', 1, crowdIndex=None),
        r'images\[1\], id 2 has no crowdIndex',
    ),
]


@pytest.mark.parametrize(('who', 'change', 'message'), FAULTS)
def test_a_fault_is_named_by_the_first_that_meets_it(who, change, message):
    content = right()
    change(content)
    with pytest.raises(ValueError, match=f'a.json: .*{message}'):
        check_annotations(content, 'a.json')
        assert who != 'annotations'
        if who == 'persons':
            check_persons(content, 'a.json', 17, 'train_dataloader.dataset')
        else:
            crowd = who == 'crowd'
            fields = dict(keypoints=17)
            check_ground_truth(content, 'a.json', fields, not crowd, crowd)


def nothing(content):
    pass


def two_categories(content):
    content['categories'].append(dict(id=2, name='child'))
    content['annotations'][0]['category_id'] = 2


@pytest.mark.parametrize(
    'change',
    [
        nothing,
        two_categories,
        put('annotations', iscrowd=None),
        put('annotations', num_keypoints=None),
        put('annotations', 0, id=0),
        put('annotations', 0, id=2**40),
        put('annotations', 0, iscrowd=True),
        put('annotations', 0, keypoints=[0] * 51, num_keypoints=0),
        put('annotations', 0, keypoints=[0] * 51, num_keypoints=0, area=0),
        put_null('annotations', 0, 'segmentation'),
        put('annotations', 0, bbox=[5, 5, 0, 9]),
        put('annotations', attributes=dict(hat=True), track_id=3),
    ],
)
def test_no_false_alarm(change, coco_folder):
    content = right()
    change(content)
    check_all(content)
    if change is not two_categories:
        check_all(
            content, use_area=False, crowd='num_keypoints' in content['annotations'][0]
        )


@pytest.mark.parametrize(
    ('change', 'words'),
    [
        (put('annotations', 0, image_id=99), '1 of 3 annotations are left out'),
        (put('annotations', 0, category_id=7), '1 of 3 annotations are not evaluated'),
        (
            put('annotations', 0, bbox=[9, 9, -4, 8]),
            '1 of 3 persons, such as id 1, are',
        ),
        (put('annotations', 0, area=0), '1 of 3 persons, such as id 1, have no area'),
    ],
)
def test_what_is_left_out_is_counted_in_one_warning(change, words, monkeypatch):
    told = []
    logger = MMLogger.get_instance('annotation_file')
    monkeypatch.setattr(
        logger, 'handle', lambda record: told.append(record.getMessage())
    )
    content = right()
    change(content)
    check_all(content)
    assert len(told) == 1 and 'a.json' in told[0] and words in told[0]


def test_what_is_no_annotation_file(tmp_path):
    path = tmp_path / 'a.json'
    path.write_text('{"images": [')
    with pytest.raises(ValueError, match='a.json: this is not a JSON file'):
        load_json(str(path))
    with pytest.raises(ValueError, match='this is a list .*bbox_file'):
        check_annotations([], 'a.json')
    with pytest.raises(ValueError, match='images is empty'):
        check_annotations(dict(images=[], annotations=[]), 'a.json')


@pytest.mark.parametrize(
    ('file', 'num_keypoints'),
    [
        ('coco/person_keypoints.json', 17),
        ('coco_det/test_coco.json', 17),
        ('crowdpose/test_crowdpose.json', 14),
        ('ochuman/test_ochuman.json', 17),
    ],
)
def test_public_files_pass(real_data, file, num_keypoints):
    content, crowd = load_json(str(real_data / file)), 'crowdpose' in file
    check_annotations(content, file)
    check_persons(content, file, num_keypoints, 'train_dataloader.dataset')
    check_ground_truth(content, file, dict(keypoints=num_keypoints), not crowd, crowd)


def test_a_whole_body_annotation_is_named(coco_folder):
    parts = dict(foot_kpts=6, face_kpts=68, lefthand_kpts=21, righthand_kpts=21)
    people = [person(i, 1, 20, 10, 60, 90, segmentation=[]) for i in (1, 2)]
    for one in people:
        one.update({key: [30, 40, 2] * num for key, num in parts.items()})
    good = copy.deepcopy(people)
    del people[1]['face_kpts']
    folder = coco_folder(people)
    stock = coco_dataset_config(folder, train_pipeline())
    stock = dict(stock, type='CocoWholeBodyDataset')
    with pytest.raises(ValueError, match="annotation with id 2: KeyError: 'face_kpts'"):
        DATASETS.build(dict(type='MultiInstanceDataset', dataset=stock))
    metric = METRICS.build(
        dict(
            type='MultiInstanceCocoWholeBodyMetric',
            ann_file=str(folder / 'annotations.json'),
        )
    )
    meta = DATASETS.build(dict(stock, lazy_init=True)).metainfo
    with pytest.raises(ValueError, match='id 2 has no face_kpts'):
        metric.dataset_meta = meta
    coco_folder(good)
    DATASETS.build(dict(type='MultiInstanceDataset', dataset=stock))


@pytest.mark.parametrize(
    'kind', ['MultiInstanceCocoMetric', 'PrimaryInstanceMetric', 'no category']
)
def test_metrics_refuse_a_file_before_the_first_pose(coco_folder, kind):
    folder = coco_folder([person(1, 1, 20, 10, 60, 90, area=0)])
    path = folder / 'annotations.json'
    cfg = dict(type=kind, ann_file=str(path))
    if kind == 'PrimaryInstanceMetric':
        cfg = dict(type=kind, metric=dict(cfg, type='CocoMetric'))
    if kind == 'no category':
        content = json.loads(path.read_text())
        del content['annotations'][0]['category_id']
        path.write_text(json.dumps(content))
        with pytest.raises(ValueError, match='id 1 has no category_id'):
            METRICS.build(dict(cfg, type='MultiInstanceCocoMetric'))
        return
    stock = coco_dataset_config(folder, train_pipeline(), lazy_init=True)
    metric = METRICS.build(cfg)
    with pytest.raises(ValueError, match='annotations.json: all 1 annotations'):
        metric.dataset_meta = DATASETS.build(stock).metainfo
