"""What check_data finds in made files, its figures against the samples, its picture."""

import json
import re
from collections import Counter

import cv2
import numpy as np
import pytest
from mmpose.registry import DATASETS
from PIL import Image

from mipnet_mmpose.visualization import COLORS
from mipnet_mmpose.visualization.draw_poses import TITLE_HEIGHT
from mipnet_mmpose.visualization.draw_targets import CELL_HEIGHT, GAP

from ..conftest import (
    CODEC,
    coco_dataset_config,
    load_tool,
    person,
    rewrite,
    run_script,
    train_pipeline,
    val_pipeline,
)
from ..test_datasets.test_multi_instance_dataset import COMBINED, REGRESSION, SIMCC

tool = load_tool('check_data')
NAN = float('nan')
METAINFO = 'configs/_base_/datasets/{}.py'


def config(folder, train=None, val=None, metric=None, wrap=True, **fields):
    """Write a config with these datasets; its path."""
    if train and wrap:
        train = dict(type='MultiInstanceDataset', dataset=train, **fields)
    cfg = dict(train_dataloader=dict(dataset=train)) if train else {}
    if val:
        cfg.update(val_dataloader=dict(dataset=val), val_evaluator=metric)
    return write(folder, cfg)


def write(folder, cfg):
    path = folder / 'config.py'
    path.write_text(''.join(f'{key} = {value!r}\n' for key, value in cfg.items()))
    return path


def check(path, capsys, *options):
    """Run the tool; its exit status and what it printed."""
    status = 0
    try:
        run_script(tool, path, '--out', path.with_name('picture.png'), *options)
    except SystemExit as stop:
        assert isinstance(stop.code, str)
        status = 1
    return status, capsys.readouterr().out


def findings(folder, capsys, metric='MultiInstanceCocoMetric', boxes=None, **fields):
    """Check a folder as training and test data; errors, warnings and notes."""
    stock = coco_dataset_config(folder, train_pipeline(), **fields)
    test = coco_dataset_config(folder, val_pipeline(), test_mode=True, **fields)
    if boxes is not None:
        (folder / 'boxes.json').write_text(json.dumps(boxes))
        test['bbox_file'], stock = str(folder / 'boxes.json'), None
    if isinstance(metric, str):
        metric = dict(type=metric, ann_file=str(folder / 'annotations.json'))
    path = config(folder, stock, test, metric)
    status, output = check(path, capsys, '--samples', 0)
    words = ('ERROR', 'WARNING', 'NOTE')
    found = [
        {line.strip() for line in output.splitlines() if line.startswith(f'  {word}')}
        for word in words
    ]
    assert status == bool(found[0])
    return found


def people(num=4, **changes):
    """Persons 1, 2, ..., two in an image, with these values; ``None`` drops a key."""
    found = [
        person(i, 1 + (i - 1) // 2, 5 + 9 * i, 10, 50, 80) for i in range(1, num + 1)
    ]
    found[0].update(changes)
    found[0] = {key: value for key, value in found[0].items() if value is not None}
    return found


def test_right_data_pass(coco_folder, capsys):
    assert findings(coco_folder(people()), capsys) == [set(), set(), set()]


def test_public_data_pass(real_data, tmp_path, capsys):
    for folder, kind, name in (
        ('coco_det', 'CocoDataset', 'coco'),
        ('crowdpose', 'CrowdPoseDataset', 'crowdpose'),
        ('ochuman', 'OCHumanDataset', 'ochuman'),
    ):
        root, file = real_data / folder, f'test_{name}.json'
        boxes = next(iter(root.glob('*_det_*.json')), None)
        for bbox_file in {None, boxes and str(boxes)}:
            stock = coco_dataset_config(root, val_pipeline(), test_mode=True)
            stock.update(type=kind, ann_file=file, bbox_file=bbox_file)
            metric = dict(type='CocoMetric', ann_file=str(root / file))
            if name == 'crowdpose':
                metric.update(use_area=False, iou_type='keypoints_crowd')
            status, output = check(config(tmp_path, None, stock, metric), capsys)
            assert status == 0, output


@pytest.mark.parametrize(
    'changes, message',
    [
        (dict(keypoints=[9] * 50), 'ValueError: .*Read last: id 1'),
        (dict(keypoints=[9] * 48), '1 of 4 persons have 16 keypoints, metainfo .* 17'),
        (dict(keypoints=[NAN] * 51), '1 of 4 persons have keypoints that are not fin'),
        (dict(keypoints=[]), 'ValueError: zero-size array'),
        (dict(bbox=[1, 2, 3, NAN]), r'the person with id 1 has the box \['),
        (dict(bbox=None), 'annotations have no bbox'),
        (dict(id=2), '2 of 4 annotations share their id .*such as 2, 2'),
        (dict(category_id=5), '1 of 4 annotations are not evaluated: categories'),
        (dict(area=None), '1 of 4 persons have no area that is a number above 0'),
        (dict(area=0), '1 of 4 persons have no area that is a number above 0'),
        (dict(num_keypoints=0), '1 of 4 persons are evaluated but left out'),
        (dict(bbox=[300, 10, 50, 80]), '1 of 4 persons are evaluated but left out'),
    ],
)
def test_what_makes_numbers_wrong_is_an_error(coco_folder, capsys, changes, message):
    errors, *_ = findings(coco_folder(people(**changes)), capsys)
    assert any(re.search(f'annotations.json: .*{message}', line) for line in errors)


@pytest.mark.parametrize(
    'changes, message',
    [
        (dict(num_keypoints=0), 'num_keypoints is 0, though there are some'),
        (dict(bbox=[300, 10, 50, 80]), 'bbox has no area inside of the image'),
        (dict(iscrowd=1), 'iscrowd is 1'),
        (dict(bbox=None), 'they have no bbox or keypoints'),
        (dict(keypoints=[], num_keypoints=0), 'no keypoint is labelled'),
        (dict(keypoints=[-5, -5, 2] * 17), 'coordinates above 0'),
        (dict(image_id=99), 'image_id is the id of no image'),
        (dict(segmentation=[[14, 10, 64, 10, 64, 90, 14, 90]]), 'the box as a polygon'),
        (dict(segmentation=[[]]), 'is no mask of 10% of the box'),
        (dict(segmentation=[[20, 20, 60, 60]]), 'is no mask of 10% of the box'),
        (
            dict(segmentation=dict(size=[200, 160], counts=[1000, 20000, 11000])),
            'is of another size than the image',
        ),
    ],
)
def test_what_is_left_out_is_one_warning(coco_folder, capsys, changes, message):
    folder = coco_folder(people(**changes), images=[1, 2])
    errors, warnings, _ = findings(folder, capsys, metric=[])
    assert not errors and len(warnings) == 2  # of both loaders
    assert all('annotations.json: 1 of 4 ' in line for line in warnings)
    assert all(re.search(f'{message}.*such as 1', line) for line in warnings)


def test_annotations_of_a_box_alone_are_right(coco_folder, capsys):
    """Stock MMPose evaluates to 1.0 with them (case 23)."""
    folder = coco_folder(people(keypoints=[], num_keypoints=0, category_id=2))
    rewrite(folder, lambda c: c['categories'].append(dict(id=2, name='ball')))
    errors, warnings, _ = findings(folder, capsys)
    assert not errors and any('no keypoint is labelled' in line for line in warnings)


def test_the_same_persons_twice(coco_folder, capsys):
    once = people()
    folder = coco_folder(once + [dict(one, id=one['id'] + 10) for one in once[:3]])
    errors, warnings, _ = findings(folder, capsys)
    assert any('3 of 7 persons are labelled twice and evaluated' in e for e in errors)
    assert len([w for w in warnings if '3 of 7 persons are labelled twice' in w]) == 2


def test_files_that_are_no_coco_files(coco_folder, capsys):
    folder = coco_folder(people())
    good = (folder / 'annotations.json').read_text()
    for change, message in (
        (lambda c: c.pop('images'), 'no person with keypoints is read'),
        (lambda c: c['images'][1].update(id=1), '2 of 2 images share their id'),
        (lambda c: c['images'][1].pop('width'), "KeyError: .*'width'. .* id 3"),
        (lambda c: c.pop('categories'), '4 of 4 annotations are not evaluated'),
        (lambda c: [a.update(iscrowd=1) for a in c['annotations']], 'no person with'),
    ):
        rewrite(folder, change)
        errors, *_ = findings(folder, capsys)
        assert any(re.search(message, line) for line in errors), (message, errors)
        (folder / 'annotations.json').write_text(good)
    (folder / 'annotations.json').write_text('{"images": [')
    assert 'JSONDecodeError' in str(findings(folder, capsys)[0])


def test_images_are_examined(coco_folder, capsys):
    """EXIF turns two, the third has another size, the fourth is no picture."""
    folder = coco_folder(people(16))
    with Image.open(folder / '000001.png') as image:
        for number, orientation in ((1, 6), (2, 3)):
            exif = Image.Exif()
            exif[274] = orientation
            image.save(folder / f'{number:06d}.png', exif=exif)
        image.resize((80, 60)).save(folder / '000003.png')
    (folder / '000004.png').write_bytes(b'no picture')
    (folder / '000005.png').unlink()
    (folder.parent / 'secret.png').write_bytes((folder / '000006.png').read_bytes())
    elsewhere = '../secret.png', f'../{folder.name}-2/1.png'
    for number, name in enumerate(elsewhere, 5):
        rewrite(folder, lambda c, i=number, n=name: c['images'][i].update(file_name=n))
    errors, warnings, _ = findings(folder, capsys, metric=[])
    for message in (
        '1 of 8 images, turned as EXIF says, are not of the width and.*000001',
        '1 of 8 images are not of the width and height.*000003',
        '1 of 8 images cannot be read: Unidentified.*000004',
        '1 of 8 images cannot be read: FileNotFoundError.*000005',
        '2 of 8 images lie outside of data_root and data_prefix.*secret',
    ):
        assert len([e for e in errors if re.search(message, e)]) == 2, message
    assert any('1 of 8 images are turned by EXIF' in line for line in warnings)
    pipeline = train_pipeline()
    pipeline[0]['color_type'] = 'color_ignore_orientation'
    path = config(folder, coco_dataset_config(folder, pipeline))
    assert 'EXIF' not in check(path, capsys, '--samples', 0)[1]


def box(**changes):
    entry = dict(image_id=1, category_id=1, bbox=[1, 2, 30, 40], score=0.5)
    entry.update(changes)
    return {key: value for key, value in entry.items() if value != 'gone'}


@pytest.mark.parametrize(
    'entry, message',
    [
        (box(score='gone'), "KeyError: 'score'"),
        (box(score=None), '1 of 2 detections have a bbox or score that is not finite'),
        (box(bbox=[1, 2, 3]), 'ValueError: cannot reshape'),
        (box(bbox=[NAN, 2, 3, 4]), '1 of 2 detections have a bbox or score'),
        (box(bbox=[30, 40, -5, 9]), 'not left, top, width, height'),
        (box(image_id=7), '1 of 2 detections have an image_id that ann_file lacks'),
        (None, 'no detection of category_id 1 is read'),
    ],
)
def test_detections(coco_folder, capsys, entry, message):
    folder = coco_folder(people())
    assert findings(folder, capsys, boxes=[box(), box(score='0.9')])[0] == set()
    boxes = [box(), entry] if entry else [box(category_id=0)] * 2
    errors, *_ = findings(folder, capsys, boxes=boxes)
    assert any(re.search(f'boxes.json: .*{message}', line) for line in errors)


def test_boxes_are_of_another_category_than_the_persons(coco_folder, capsys):
    folder = coco_folder(people(category_id=2))
    rewrite(folder, lambda c: c['categories'].append(dict(id=2, name='child')))
    assert not findings(folder, capsys)[0]
    (error,) = findings(folder, capsys, boxes=[box()])[0]
    assert '1 of 4 persons are not of category 1' in error


def test_what_each_metric_needs(coco_folder, capsys):
    """CrowdPose has no area; a test set without annotations only writes poses."""
    folder = coco_folder(people(area=None))
    file = str(folder / 'annotations.json')
    metric = dict(type='CocoMetric', ann_file=file, use_area=False)
    assert not findings(folder, capsys, metric)[0]
    crowd = dict(metric, iou_type='keypoints_crowd')
    assert 'no crowdIndex' in str(findings(folder, capsys, crowd)[0])
    missing = dict(metric, ann_file='nowhere.json')
    assert 'val_evaluator.0.ann_file: nowhere.json: FileNotFoundError' in str(
        findings(folder, capsys, [missing])[0]
    )
    assert not findings(folder, capsys, dict(type='PCKAccuracy'))[0]
    rewrite(folder, lambda c: c.update(annotations=[]))
    metric.update(format_only=True, outfile_prefix=str(folder / 'poses'))
    assert not findings(folder, capsys, metric, boxes=[box()])[0]


def test_a_crowd_of_more_than_twenty(coco_folder, capsys):
    crowd = [person(i, 1, 2 * i, 10, 60, 90) for i in range(1, 22)]
    _, warnings, _ = findings(coco_folder(crowd), capsys)
    assert any('1 of 1 images have over 20 persons' in line for line in warnings)


@pytest.mark.parametrize('is_mipnet', [False, True])
def test_numbers_of_keypoints(coco_folder, capsys, is_mipnet):
    folder = coco_folder(people())
    for model, described, words in (
        (17, 17, None),
        (16, 17, 'channels: 16 keypoints, metainfo of train_dataloader.dataset has'),
        (16, 16, '4 of 4 persons have 17 keypoints, metainfo has 16'),
    ):
        head = dict(type='HeatmapHead', in_channels=8, out_channels=model)
        if is_mipnet:
            head = dict(type='MIPNetHead', head=head)
        meta = METAINFO.format({16: 'mpii', 17: 'coco'}[described])
        meta = dict(metainfo=dict(from_file=meta))
        stock = coco_dataset_config(folder, train_pipeline(), **meta)
        cfg = dict(train_dataloader=dict(dataset=stock), model=dict(head=head))
        status, output = check(write(folder, cfg), capsys, '--samples', 0)
        assert status == bool(words) and (words or '') in output
        if described != model:
            assert ('model.head.head' in output) == is_mipnet


def test_sigmas_are_missing(coco_folder, capsys):
    meta = dict(from_file=METAINFO.format('h36m'))
    errors, *_ = findings(coco_folder(people()), capsys, metainfo=meta)
    assert 'has no sigmas' in str(errors)


def test_other_formats_are_said(tmp_path, capsys):
    """MPII has its own: what any dataset gives is examined."""
    cv2.imwrite(str(tmp_path / '1.png'), np.zeros((120, 160, 3), np.uint8))
    joints = np.random.default_rng(0).uniform(20, 90, (16, 2)).tolist()
    entry = dict(image='1.png', center=[60, 60], scale=0.4, joints=joints)
    entry['joints_vis'] = [1] * 16
    (tmp_path / 'a.json').write_text(json.dumps([entry, dict(entry, image='2.png')]))
    stock = coco_dataset_config(tmp_path, train_pipeline())
    stock.update(type='MpiiDataset', ann_file='a.json')
    status, output = check(config(tmp_path, stock), capsys, '--samples', 0)
    assert status == 1 and 'not examined: MpiiDataset reads another format' in output
    assert '1 of 2 images cannot be read' in output
    assert '2 persons in 2 images' in output


def test_missing_files_and_configs(coco_folder, tmp_path, capsys):
    folder = coco_folder(people())
    train = coco_dataset_config(folder / 'nowhere', train_pipeline())
    val = coco_dataset_config(folder, val_pipeline(), test_mode=True)
    val['bbox_file'] = 'detections.json'
    status, output = check(config(folder, train, val, []), capsys)
    nowhere = folder / 'nowhere/annotations.json'
    assert status == 1
    assert f'train_dataloader.dataset.dataset.ann_file: {nowhere}: FileNotFo' in output
    assert 'val_dataloader.dataset.bbox_file: detections.json: FileNotFo' in output
    output = check(tmp_path / 'nowhere.py', capsys)[1]
    assert re.search(r'ERROR    CONFIG .*nowhere\.py.* does not exist', output)


def table(output, title):
    """Counts by label of the table with this title."""
    lines = output.splitlines()
    start = next(i for i, line in enumerate(lines) if title in line)
    labels = [label.strip() for label in re.findall('.{12}', lines[start + 1][4:])]
    counts = [int(word.replace(',', '')) for word in lines[start + 2].split()]
    return {label: n for label, n in zip(labels, counts) if n}


@pytest.mark.parametrize(('min_keypoints', 'use_udp'), [(4, False), (12, True)])
def test_counts_are_those_of_the_samples(coco_folder, capsys, min_keypoints, use_udp):
    rng = np.random.default_rng(0)
    crowd = [
        person(i, int(rng.integers(9)), *rng.uniform(5, 60, 2), *rng.uniform(20, 50, 2))
        for i in range(40)
    ]
    pipeline = train_pipeline(use_udp=use_udp, augment=False)
    stock = coco_dataset_config(coco_folder(crowd), pipeline)
    fields = dict(min_keypoints=min_keypoints, num_instances=7)
    path = config(coco_folder(crowd), stock, **fields)
    status, output = check(path, capsys, '--samples', 0)
    assert status == 0 and '40 persons in ' in output
    wrapped = dict(type='MultiInstanceDataset', dataset=stock, **fields)
    learnt = [s['data_samples'].gt_instances for s in DATASETS.build(wrapped)]
    counts = [(instances.target_instances > 0).sum() for instances in learnt]
    expected = Counter(f'{n}' if n < 5 else '>= 5' for n in counts)
    assert table(output, f'siblings with at least {min_keypoints} labelled') == expected
    assert sum(table(output, 'largest box IoU').values()) == 40
    status, output = check(config(coco_folder(crowd), stock, wrap=False), capsys)
    assert status == 0 and 'N = 1 per box: no sibling is learnt' in output


@pytest.mark.parametrize('codec', [CODEC, COMBINED, SIMCC, REGRESSION])
def test_each_lambda_shows_its_person(coco_folder, capsys, codec):
    both = [person(i, 1, left, 10, 60, 80) for i, left in ((1, 20), (2, 45))]
    both[1]['bbox'] = both[0]['bbox']
    folder = coco_folder([*both, person(3, 2, 20, 10, 60, 80)])
    stock = coco_dataset_config(folder, train_pipeline(codec, augment=False))
    path = config(folder, stock, num_instances=3)
    status, output = check(path, capsys, '--samples', 3)
    assert status == 0 and str(folder / 'picture.png') in output.splitlines()
    picture = cv2.imread(str(folder / 'picture.png'))[TITLE_HEIGHT:].astype(int)
    width = CELL_HEIGHT * 96 // 128 + 2
    shown = []
    for column in range(3):
        left = column * (4 * width + GAP)
        cells = [picture[:, left + i * width :][:, : width - 2] for i in (1, 2, 3)]
        shown.append(
            [[(abs(cell - color).max(axis=2) < 8).sum() > 60 for color in COLORS[:3]]
             for cell in cells]
        )  # fmt: skip
    own, sibling = [True, False, False], [False, True, False]
    # samples with siblings come first
    assert shown == [[own, sibling, own], [own, sibling, own], [own, own, own]]
