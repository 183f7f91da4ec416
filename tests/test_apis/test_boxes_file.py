"""Boxes of a file go to the image they were made for, or nowhere."""

import json
import warnings

import mmcv
import pytest

from mipnet_mmpose.apis.boxes_file import boxes_from_file


@pytest.fixture
def match(tmp_path):
    """Ids whose boxes the images get; the box of an id starts at x = id."""

    def call(images, content):
        path = tmp_path / 'boxes.json'
        path.write_text(json.dumps(content))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter('always')
            call.ids, boxes, call.category = boxes_from_file(path, images)
        call.told = ' | '.join(str(warning.message) for warning in caught)
        return {i: [int(x) for x in b[:, 0]] for i, b in enumerate(boxes) if len(b)}

    return call


def box(image_id, x=None, **fields):
    x = int(image_id) if x is None else x
    return dict(image_id=image_id, category_id=1, bbox=[x, 5, 10, 20], **fields)


def detections(*ids):
    return [box(i, score=0.5) for i in ids]


def annotations(names):
    images = [dict(id=i, file_name=name) for i, name in names.items()]
    return dict(images=images, annotations=[box(i) for i in names])


@pytest.mark.parametrize(
    ('images', 'ids'),
    [
        (['frame_0001.jpg', 'frame_0002.jpg'], [1, 2]),
        (['000001.JPG', '000002.JPG'], ['000001', '000002']),
        (['COCO_val2014_000000000002.jpg', 'COCO_val2014_000000000007.jpg'], [2, 7]),
        (['図7_left.png', '図9_left.png'], [7, 9]),
        (['COCO_val2014_000000000002.jpg'], [7, 2]),  # one image of many
    ],
)
def test_detections_go_by_the_number_in_the_names(match, images, ids):
    given = ids[-len(images) :]
    expected = {i: [int(image_id)] for i, image_id in enumerate(given)}
    assert match(images, detections(*reversed(ids))) == expected
    assert match.ids == given


@pytest.mark.parametrize(
    ('images', 'ids'),
    [
        (['0.jpg', '1.jpg', '2.jpg'], [1, 2, 3]),  # numbered from 0 and from 1
        (['1.jpg', 'b.jpg'], [1]),
        (['1_2.jpg', '2_1.jpg'], [1, 2]),  # two numbers, each fits
        (['cam1/1.jpg', 'cam2/1.jpg'], [1]),
        (['1.jpg', 'b_2_3.jpg'], [1, 3]),
    ],
)
def test_detections_that_fit_no_or_two_ways_are_refused(match, images, ids):
    content = [box(i, x=1, score=1) for i in ids]
    with pytest.raises(ValueError, match=r'boxes\.json: which boxes are') as error:
        match(images, content)
    assert all(image in str(error.value) for image in images[:2])
    assert all(f'image_id {i}' in str(error.value) for i in ids[:2])


def test_an_image_without_detections_has_nobody(match):
    assert match(['1.jpg', '2.jpg'], detections(2)) == {1: [2]}
    assert 'nothing of 1 of 2 images' in match.told


@pytest.mark.parametrize(
    ('images', 'names', 'expected'),
    [
        (['in/cam1/1.jpg'], {3: 'cam2/1.jpg', 4: 'cam1/1.jpg'}, [4]),
        (['in/0002.jpg'], {1: 'images\\0002.jpg', 2: 'images\\0003.jpg'}, [1]),
        (['in/0002.jpg'], {1: 'C:\\data\\0002.jpg'}, [1]),
        (['/a/in/2.jpg'], {1: '/b/in/2.jpg', 2: '/a/in/2.jpg'}, [2]),
        (['in/2.JPG'], {1: '2.jpg'}, [1]),
        (['in/7.jpg', 'in/8.jpg'], {1: '8.jpg'}, [None, 1]),
        # the name is there, in another folder than the others are found in
        (['cam2/1.jpg', 'cam2/2.jpg'], {1: 'cam2/1.jpg', 2: 'cam1/2.jpg'}, [1, None]),
    ],
)
def test_annotations_go_by_file_name(match, images, names, expected):
    found = match(images, annotations(names))
    assert match.ids == expected
    assert found == {i: [key] for i, key in enumerate(expected) if key is not None}


@pytest.mark.parametrize(
    ('images', 'names', 'message'),
    [
        (['in/1.jpg'], ['cam1/1.jpg', 'cam2/1.jpg'], r'in/1.jpg cam1.*or cam2'),
        (['cam1/1.jpg', 'cam2/1.jpg'], ['1.jpg'], 'which boxes are those of cam1'),
        (['1.jpg', '2.jpg'], ['a.jpg', 'b.jpg'], 'boxes are those of 1.jpg, 2.jpg'),
    ],
)
def test_names_that_do_not_say_which_are_refused(match, images, names, message):
    with pytest.raises(ValueError, match=message):
        match(images, annotations(dict(enumerate(names, 1))))


def test_only_persons_are_boxes(match):
    content = annotations({1: '1.jpg'})
    content['annotations'].append(box(1, x=50, iscrowd=1))
    assert match(['1.jpg'], content) == {0: [1]}
    content['categories'] = [dict(id=4, name='person'), dict(id=2, name='horse')]
    for entry in content['annotations']:
        entry['category_id'] = 2
    assert match(['1.jpg'], content) == {0: [1]}  # the one there is
    assert match.category == 2
    content['annotations'].append(dict(box(1, x=40), category_id=4))
    assert match(['1.jpg'], content) == {0: [40]}
    assert match.category == 4
    content['categories'][0]['name'] = 'rider'
    with pytest.raises(ValueError, match='which category .*rider'):
        match(['1.jpg'], content)


def test_in_a_video_the_first_frame_is_0(match, video_file):
    video = mmcv.VideoReader(video_file)
    assert match(video, detections(0, 2)) == {0: [0], 2: [2]}
    assert match(video, detections('0', '2')) == {0: [0], 2: [2]}
    with pytest.raises(ValueError, match='of frame 0, .* image_id 1, image_id 2'):
        match(video, detections(*range(1, 13)))
