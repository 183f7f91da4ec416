"""The figures of check_data against plain loops, its messages and its picture."""

import json
import re
from collections import Counter

import cv2
import numpy as np
import pytest
from mmengine.config import Config

from mipnet_mmpose.visualization import COLORS
from mipnet_mmpose.visualization.draw_targets import CELL_HEIGHT
from mipnet_mmpose.visualization.grid import GAP, TITLE_HEIGHT

from ..conftest import (
    CODEC,
    REPO,
    coco_dataset_config,
    person,
    train_pipeline,
    val_pipeline,
)
from .test_convert_official_checkpoint import load_module

tool = load_module('check_data', REPO / 'tools' / 'check_data.py')

INPUT_SIZE = CODEC['input_size']
SIMCC = dict(type='SimCCLabel', input_size=INPUT_SIZE, sigma=4.0, simcc_split_ratio=2.0)
REGRESSION = dict(type='RegressionLabel', input_size=INPUT_SIZE)
UDP = dict(CODEC, type='UDPHeatmap', heatmap_type='combined')
del UDP['sigma']


def config(folder, train=None, val=None, wrap=True, **fields):
    """Write a config with these datasets; its path."""
    if train and wrap:
        train = dict(type='MultiInstanceDataset', dataset=train, **fields)
    cfg = {}
    if train:
        cfg['train_dataloader'] = dict(dataset=train)
    if val:
        cfg['val_dataloader'] = cfg['test_dataloader'] = dict(dataset=val)
    path = folder / 'config.py'
    Config(cfg).dump(path)
    return path


def check(path, capsys, *options):
    """Run the tool; its exit status and what it printed."""
    out = path.with_name('picture.png')
    status = 0
    try:
        tool.main([str(path), '--out', str(out), *map(str, options)])
    except SystemExit as stop:
        assert isinstance(stop.code, str)
        status = 1
    return status, capsys.readouterr().out


def table(output, title):
    """Counts by label of the table with this title."""
    lines = output.splitlines()
    start = next(i for i, line in enumerate(lines) if title in line)
    labels = [label.strip() for label in re.findall('.{12}', lines[start + 1][4:])]
    counts = [int(word.replace(',', '')) for word in lines[start + 2].split()]
    return {label: n for label, n in zip(labels, counts) if n}


def samples(annotation_file):
    """Images of (box, keypoints) of the persons that MMPose trains on, in a loop."""
    coco = json.loads(annotation_file.read_text())
    sizes = {image['id']: (image['width'], image['height']) for image in coco['images']}
    images = {}
    for entry in coco['annotations']:
        keypoints = np.reshape(entry.get('keypoints', []), (-1, 3))
        if entry['iscrowd'] or not (keypoints[:, 2] > 0).any():
            continue
        x, y, w, h = entry['bbox']
        width, height = sizes[entry['image_id']]
        box = max(x, 0), max(y, 0), min(x + w, width - 1), min(y + h, height - 1)
        images.setdefault(entry['image_id'], []).append((box, keypoints))
    return list(images.values())


def siblings_by_hand(images, min_keypoints, ratio):
    """How many crops have so many siblings."""
    counts = []
    for people in images:
        for i, (box, _) in enumerate(people):
            w, h = 1.25 * (box[2] - box[0]), 1.25 * (box[3] - box[1])
            w, h = max(w, h * ratio), max(h, w / ratio)
            left, top = (box[0] + box[2] - w) / 2, (box[1] + box[3] - h) / 2
            inside = [
                sum(
                    v > 0 and left <= x < left + w and top <= y < top + h
                    for x, y, v in keypoints
                )
                for j, (_, keypoints) in enumerate(people)
                if j != i
            ]
            counts.append(sum(n >= min_keypoints for n in inside))
    return dict(Counter(f'{n}' if n < 5 else '>= 5' for n in counts))


def overlaps_by_hand(images):
    """How many persons have a largest box IoU in each range."""
    found = []
    for people in images:
        for i, (a, _) in enumerate(people):
            largest = 0
            for j, (b, _) in enumerate(people):
                w = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
                h = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
                both = sum((c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)) - w * h
                largest = max(largest, w * h / both if i != j else 0)
            found.append(largest)
    ranges = {(0, 0.1): '< 0.1', (0.1, 0.5): '0.1 - 0.5', (0.5, 0.75): '0.5 - 0.75'}
    ranges[0.75, 2] = '>= 0.75'
    return dict(Counter(n for (a, b), n in ranges.items() for f in found if a <= f < b))


def agrees(output, annotation_file, min_keypoints):
    images = samples(annotation_file)
    siblings = table(output, f'siblings with at least {min_keypoints} labelled')
    assert siblings == siblings_by_hand(
        images, min_keypoints, ratio=INPUT_SIZE[0] / INPUT_SIZE[1]
    )
    assert table(output, 'largest box IoU') == overlaps_by_hand(images)
    persons = sum(map(len, images))
    assert f'{persons} persons in {len(images)} images' in output


@pytest.mark.parametrize(('min_keypoints', 'use_udp'), [(4, False), (12, True)])
def test_counts_are_those_of_a_plain_loop(coco_folder, capsys, min_keypoints, use_udp):
    rng = np.random.default_rng(0)
    people = [
        person(i, rng.integers(9), *rng.uniform(0, 60, 2), *rng.uniform(20, 60, 2))
        for i in range(40)
    ]
    people += [person(40, 1, 10, 10, 60, 90, iscrowd=1)]
    folder = coco_folder(json.loads(json.dumps(people, default=int)))
    stock = coco_dataset_config(folder, train_pipeline(use_udp=use_udp))
    path = config(folder, stock, min_keypoints=min_keypoints)
    status, output = check(path, capsys, '--samples', 0)
    assert status == 0
    agrees(output, folder / 'annotations.json', min_keypoints)


@pytest.mark.parametrize(
    ('annotation_file', 'images'),
    [
        ('coco/person_keypoints.json', 'coco/images/'),
        ('ochuman/test_ochuman.json', 'ochuman/'),
    ],
)
def test_counts_on_photographs(real_data, tmp_path, capsys, annotation_file, images):
    stock = dict(
        type='CocoDataset',
        data_root=f'{real_data}/',
        ann_file=annotation_file,
        data_prefix=dict(img=images),
        pipeline=train_pipeline(),
    )
    status, output = check(config(tmp_path, stock), capsys, '--samples', 3)
    assert status == 0
    agrees(output, real_data / annotation_file, min_keypoints=4)
    assert cv2.imread(str(tmp_path / 'picture.png')).std() > 20


def test_missing_files_are_named_and_the_rest_is_reported(coco_folder, capsys):
    folder = coco_folder([person(i, i, 20, 10, 60, 90) for i in range(3)])
    train = coco_dataset_config(folder / 'nowhere', train_pipeline())
    val = coco_dataset_config(
        folder, val_pipeline(), test_mode=True, bbox_file='detections.json'
    )
    (folder / '000002.png').unlink()
    status, output = check(config(folder, train, val), capsys)
    assert status == 1
    lines = [line.split() for line in output.splitlines() if 'MISSING' in line]
    ann_file = folder / 'nowhere' / 'annotations.json'
    assert lines[0][1:] == ['train_dataloader.dataset.dataset.ann_file:', str(ann_file)]
    assert lines[1][1] == 'train_dataloader.dataset.dataset.data_prefix.img:'
    assert lines[2][1:] == ['val_dataloader.dataset.bbox_file:', 'detections.json']
    assert ' '.join(lines[3][2:]).startswith('1 of 3 images')
    assert 'val_dataloader.dataset (CocoDataset): 3 persons in 3 images' in output
    assert not (folder / 'picture.png').exists()


def test_file_without_persons_is_named(coco_folder, capsys):
    folder = coco_folder([person(1, 1, 20, 10, 60, 90, num_keypoints=0)])
    path = config(folder, coco_dataset_config(folder, train_pipeline()))
    status, output = check(path, capsys)
    assert status == 1 and 'ann_file: no person with a box and keypoints' in output


def test_detections_are_counted_beside_persons(coco_folder, capsys):
    folder = coco_folder([person(i, i, 20, 10, 60, 90) for i in range(3)])
    boxes = [dict(image_id=0, category_id=1, bbox=[1, 2, 30, 40], score=0.5)] * 7
    (folder / 'detections.json').write_text(json.dumps(boxes))
    bbox_file = str(folder / 'detections.json')
    val = coco_dataset_config(
        folder, val_pipeline(), test_mode=True, bbox_file=bbox_file
    )
    status, output = check(config(folder, val=val), capsys)
    assert status == 0 and '7 boxes in it' in output and '3 persons in 3' in output
    assert 'train_dataloader: none' in output
    assert 'the dataset of val_dataloader' in output


def test_stock_config_has_one_instance(coco_folder, capsys):
    folder = coco_folder([person(1, 1, 20, 10, 60, 90), person(2, 1, 25, 10, 60, 90)])
    stock = coco_dataset_config(folder, train_pipeline())
    status, output = check(config(folder, stock, wrap=False), capsys)
    assert status == 0 and 'N = 1 per box: no sibling is learnt' in output
    assert table(output, 'siblings with at least 4') == {'1': 2}
    assert (folder / 'picture.png').is_file()


@pytest.mark.slow
def test_combined_dataset_without_one_of_its_parts(coco_folder, capsys):
    folder = coco_folder([person(1, 1, 20, 10, 60, 90), person(2, 1, 25, 10, 60, 90)])
    load = [dict(type='LoadImage')]
    combined = dict(
        type='CombinedDataset',
        metainfo=dict(from_file='configs/_base_/datasets/coco.py'),
        datasets=[coco_dataset_config(folder / f, load) for f in ('', 'nowhere', '')],
        sample_ratio_factor=[0.5, 1, 2],
        pipeline=train_pipeline()[1:],
    )
    status, output = check(config(folder, combined), capsys)
    assert status == 1
    key = 'train_dataloader.dataset.dataset.datasets'
    assert f'MISSING  {key}.1.ann_file: {folder}/nowhere/annotations.json' in output
    assert f'{key}.0 (CocoDataset): 2 persons in 1 images' in output
    assert f'{key}.2 (CocoDataset): 2 persons in 1 images' in output
    assert (folder / 'picture.png').is_file()


@pytest.mark.parametrize('codec', [CODEC, UDP, SIMCC, REGRESSION])
def test_each_lambda_shows_its_person(coco_folder, capsys, codec):
    people = [person(i, 1, left, 10, 60, 80) for i, left in ((1, 20), (2, 45))]
    people[1]['bbox'] = people[0]['bbox']
    folder = coco_folder([*people, person(3, 2, 20, 10, 60, 80)])
    stock = coco_dataset_config(folder, train_pipeline(codec, augment=False))
    path = config(folder, stock, num_instances=3)
    status, output = check(path, capsys, '--samples', 3)
    assert status == 0 and output.splitlines()[-1] == str(folder / 'picture.png')
    picture = cv2.imread(str(folder / 'picture.png'))
    height, width = CELL_HEIGHT + 4, CELL_HEIGHT * 96 // 128 + 2
    strip = 4 * width + GAP
    strips = []
    for column in range(3):
        left = column * strip
        cells = [
            picture[TITLE_HEIGHT:, left + i * width : left + (i + 1) * width - 2]
            for i in range(4)
        ]
        assert all(len(cell) == height for cell in cells)
        drawn = [
            [(np.abs(cell.astype(int) - color).max(axis=2) < 8).sum() > 60
             for color in COLORS[:3]]
            for cell in cells[1:]
        ]  # fmt: skip
        strips.append(drawn)
    own, sibling = [True, False, False], [False, True, False]
    # samples with siblings come first
    assert strips == [[own, sibling, own], [own, sibling, own], [own, own, own]]


def test_pasted_people_are_drawn(coco_folder, capsys):
    """Everybody is alone in an image, so λ = 1 shows whoever was pasted."""
    people = [
        person(i, i, 20, 10, 60, 80, segmentation=[[20, 10, 80, 10, 80, 90, 20, 90]])
        for i in (1, 2, 3)
    ]
    folder = coco_folder(people)
    stock = coco_dataset_config(folder, train_pipeline(augment=False))
    shown = []
    for prob in (0, 1):
        paste = dict(prob=prob, min_visible=0)
        status, _ = check(config(folder, stock, paste_people=paste), capsys)
        assert status == 0
        picture = cv2.imread(str(folder / 'picture.png')).astype(int)
        near = np.abs(picture - COLORS[1]).max(axis=2) < 8
        shown.append(near.sum() > 60)
    assert shown == [False, True]


def test_targets_are_drawn_at_their_keypoints(coco_folder, capsys):
    people = [person(1, 1, 20, 10, 60, 80), person(2, 1, 30, 12, 60, 80)]
    folder = coco_folder(people)
    stock = coco_dataset_config(folder, train_pipeline(SIMCC, augment=False))
    check(config(folder, stock), capsys, '--samples', 1)
    picture = cv2.imread(str(folder / 'picture.png'))[TITLE_HEIGHT:]
    scale, width = CELL_HEIGHT / 100, CELL_HEIGHT * 96 // 128 + 2
    matches = []
    for box, *order in ((people[0], *people), (people[1], *people[::-1])):
        x, y, w, h = box['bbox']
        corner = np.array([x + w / 2 - 37.5, y + h / 2 - 50])  # a crop of 75 x 100
        hits = 0
        for i, who in enumerate(order):
            points = np.reshape(who['keypoints'], (17, 3))[:, :2] - corner
            for column, row in (points * scale).round().astype(int):
                patch = picture[row - 2 : row + 3, (i + 1) * width :][:, column - 2 :]
                patch = patch[:, :5].reshape(-1, 3).astype(int)
                hits += (np.abs(patch - COLORS[i]).max(axis=1) < 30).any()
        matches.append(hits)
    assert max(matches) >= 32  # of 34; a later keypoint may cover one


def test_unreadable_image_is_named(coco_folder, capsys):
    folder = coco_folder([person(1, 1, 20, 10, 60, 90)])
    (folder / '000001.png').write_bytes(b'no picture')
    path = config(folder, coco_dataset_config(folder, train_pipeline()))
    status, output = check(path, capsys)
    assert status == 1 and f'ERROR    {folder / "000001.png"}: ' in output


def test_wrong_config_is_named(coco_folder, tmp_path, capsys):
    folder = coco_folder([person(1, 1, 20, 10, 60, 90)])
    with pytest.raises(SystemExit, match=r'CONFIG .*nowhere\.py'):
        tool.main([str(tmp_path / 'nowhere.py')])
    stock = coco_dataset_config(folder, train_pipeline(), data_mode='bottomup')
    status, output = check(config(folder, stock), capsys)
    assert status == 1 and "data_mode is 'bottomup'" in output
    path = config(folder, coco_dataset_config(folder, train_pipeline()), typo=1)
    status, output = check(path, capsys)
    assert status == 1 and 'ERROR    train_dataloader.dataset: ' in output
    assert '1 persons in 1 images' in output


def spoiled(coco_folder, **changes):
    """A folder whose annotations have these values; ``None`` takes a key away."""
    people = [person(i, 1 + i // 2, 20, 10, 60, 90) for i in (1, 2, 3)]
    for one in people:
        one.update(changes)
    people = [{k: v for k, v in one.items() if v is not None} for one in people]
    return coco_folder(people, crowdIndex=0.4)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        (dict(id=7), 'annotations has id 7 3 times'),
        (dict(area=0), 'all 3 annotations have an area of less'),
        (dict(area=None), 'id 1 has no area'),
        (dict(category_id=5), 'category_id 5, categories has id 1'),
        (dict(area=[900]), r'id 1: area is \[900\]'),
        (dict(keypoints=[9, 9, 2] * 5), 'have 5 keypoints'),
    ],
)
@pytest.mark.parametrize('evaluated', [False, True])
def test_what_cannot_be_right_is_named(
    coco_folder, capsys, changes, message, evaluated
):
    folder = spoiled(coco_folder, **changes)
    val = coco_dataset_config(folder, val_pipeline(), test_mode=True)
    cfg = dict(val_dataloader=dict(dataset=val))
    if evaluated:
        file = str(folder / 'annotations.json')
        metric = dict(type='MultiInstanceCocoMetric', ann_file=file)
        cfg['val_evaluator'] = [dict(type='PCKAccuracy'), metric]
    Config(cfg).dump(folder / 'config.py')
    status, output = check(folder / 'config.py', capsys, '--samples', 0)
    assert status == 1 and re.search(f'ERROR .*annotations.json: .*{message}', output)


@pytest.mark.parametrize('key', ['iscrowd', 'num_keypoints'])
def test_what_nobody_needs_may_be_missing(coco_folder, capsys, key):
    folder = spoiled(coco_folder, **{key: None})
    path = config(folder, coco_dataset_config(folder, train_pipeline()))
    assert check(path, capsys, '--samples', 0)[0] == 0


def test_areas_are_not_asked_for_where_no_metric_does(coco_folder, capsys):
    """CrowdPose, AIC and MHP have none."""
    folder = spoiled(coco_folder, area=None)
    file = str(folder / 'annotations.json')
    val = coco_dataset_config(folder, val_pipeline(), test_mode=True)
    metric = dict(type='CocoMetric', ann_file=file, use_area=False)
    train = coco_dataset_config(folder, train_pipeline())
    cfg = dict(train_dataloader=dict(dataset=train), val_evaluator=metric)
    Config(dict(cfg, val_dataloader=dict(dataset=val))).dump(folder / 'config.py')
    assert check(folder / 'config.py', capsys, '--samples', 0)[0] == 0


def test_a_set_without_annotations_passes(coco_folder, capsys):
    folder = coco_folder([], images=[1, 2])
    file = folder / 'annotations.json'
    content = json.loads(file.read_text())
    del content['annotations']
    file.write_text(json.dumps(content))
    boxes = [dict(image_id=1, category_id=1, bbox=[1, 2, 30, 40], score=0.5)] * 3
    (folder / 'detections.json').write_text(json.dumps(boxes))
    stock = coco_dataset_config(
        folder,
        val_pipeline(),
        test_mode=True,
        bbox_file=str(folder / 'detections.json'),
    )
    metric = dict(type='CocoMetric', ann_file=str(file), format_only=True)
    metric['outfile_prefix'] = str(folder / 'poses')
    cfg = dict(test_dataloader=dict(dataset=stock), test_evaluator=metric)
    Config(cfg).dump(folder / 'config.py')
    status, output = check(folder / 'config.py', capsys)
    assert status == 0 and '3 boxes in it' in output
    cfg['test_evaluator'] = dict(type='CocoMetric', ann_file=str(file))
    Config(cfg).dump(folder / 'config.py')
    assert check(folder / 'config.py', capsys)[0] == 1


def test_a_video_dataset(coco_folder, capsys):
    """PoseTrack18's samples have several frames, the person's own first."""
    folder = coco_folder([person(i, 1, 20 + i, 10, 60, 90) for i in (1, 2)])
    content = json.loads((folder / 'annotations.json').read_text())
    content['images'][0].update(frame_id=1, nframes=2)
    (folder / 'annotations.json').write_text(json.dumps(content))
    for number in (0, 1):
        picture = np.full((120, 160, 3), 90, np.uint8)
        cv2.imwrite(str(folder / f'{number:06d}.jpg'), picture)
    (folder / '000001.png').rename(folder / '000001.jpg')
    content['images'][0]['file_name'] = '000001.jpg'
    (folder / 'annotations.json').write_text(json.dumps(content))
    stock = dict(
        coco_dataset_config(folder, train_pipeline(augment=False)),
        type='PoseTrack18VideoDataset',
        frame_sampler_mode='fixed',
        frame_indices=[-1, 0],
    )
    path = config(folder, stock)
    status, output = check(path, capsys, '--samples', 0)
    assert status == 0 and '2 persons in 1 images' in output
    assert table(output, 'siblings with at least 4') == {'1': 2}
    (folder / '000000.jpg').unlink()
    status, output = check(path, capsys, '--samples', 0)
    assert status == 1 and '1 of 2 images, such as' in output
