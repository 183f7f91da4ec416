"""The comparison's figures beside COCO's evaluation and MMPose's tools/test.py."""

import contextlib
import importlib
import io
import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmpose.registry import MODELS
from torchvision.ops import nms
from xtcocotools.coco import COCO
from xtcocotools.cocoeval import COCOeval

from mipnet_mmpose.comparison import METRICS, People, cost, fewer_boxes, figures, tables
from mipnet_mmpose.evaluation.oks import COCO_SIGMAS

from ..conftest import (
    REPO,
    coco_dataset_config,
    estimator_config,
    person,
    val_pipeline,
)

sys.path.insert(0, str(REPO / 'tools'))
compare = importlib.import_module('compare')


def people_of(annotations):
    coco = COCO()
    images = sorted({ann['image_id'] for ann in annotations})
    coco.dataset = dict(
        images=[dict(id=i, file_name=f'{i}.png') for i in images],
        annotations=annotations,
        categories=[dict(id=1, name='person')],
    )
    with contextlib.redirect_stdout(io.StringIO()):
        coco.createIndex()
    metric = SimpleNamespace(coco=coco, iou_type='keypoints', use_area=True)
    return People(metric), SimpleNamespace(metric=metric, sigmas=COCO_SIGMAS)


class Poses:
    """Results, and whose box each one is for."""

    def __init__(self):
        self.results, self.owners = [], []

    def add(self, like, owner, score, shift=0.0):
        keypoints = np.reshape(like['keypoints'], (17, 3)) + [shift, 0, 0]
        result = dict(image_id=like['image_id'], category_id=1, score=score)
        result.update(keypoints=keypoints.ravel(), bbox=[0, 0, 9, 9])
        self.results.append(dict(result, box=len(self.owners)))
        self.owners.append(owner)


# two people whose boxes overlap by 0.8, and one alone in another image
A, B = person(1, 1, 0, 0, 90, 90), person(2, 1, 10, 0, 90, 90)
C = person(3, 2, 0, 0, 90, 90)
APART, CLOSE = tables.OVERLAPS['below 0.1'], tables.OVERLAPS['above 0.75']


def test_people_of_other_bins_count_neither_way():
    people, model = people_of([A, B, C])
    assert people.overlap == pytest.approx({1: 0.8, 2: 0.8, 3: 0})
    apart, close = people.overlapping(*APART), people.overlapping(*CLOSE)
    assert apart == {3} and close == {1, 2}
    poses = Poses()
    poses.add(A, A, 0.9)
    poses.add(B, B, 0.8, shift=500)  # nobody is there
    poses.add(C, C, 0.7)

    def found(**part):
        return figures.evaluate(people, model, poses.results, poses.owners, **part)

    perfect = pytest.approx(dict(AP=1, AP50=1, AP75=1, AR=1))
    assert found(ids=apart) == perfect
    # one of two found before the first wrong one: 51 of 101 recall levels at 1
    expected = dict.fromkeys(['AP', 'AP50', 'AP75'], 51 / 101)
    assert found(ids=close) == pytest.approx(dict(expected, AR=0.5))
    assert found(images={2}) == perfect
    assert found(ids=set())['AP'] is None
    # a pose of a box for nobody is wrong in every bin: precision 1/2 for C
    poses.add(C, None, 0.95, shift=500)
    assert found(ids=apart)['AP'] == pytest.approx(0.5)
    # A from B's box: found, and B's own miss stays B's
    poses.add(B, A, 0.6)
    assert found(ids=close)['AR'] == 1
    assert not any(ann['iscrowd'] for ann in people.coco.anns.values())


def test_one_bin_with_everybody_is_the_plain_evaluation():
    rng = np.random.default_rng(0)
    anns = [
        person(i, i // 3, *rng.uniform(0, 60, 2), 90, 90, area=3000) for i in range(24)
    ]
    people, model = people_of(anns)
    poses = Poses()
    for ann in anns:
        poses.add(ann, ann, rng.uniform(), shift=rng.uniform(0, 12))
    args = (people, model, poses.results, poses.owners)
    found = figures.evaluate(*args)
    assert found == figures.evaluate(*args, ids={ann['id'] for ann in anns})
    with contextlib.redirect_stdout(io.StringIO()):
        stock = COCOeval(people.coco, people.coco.loadRes(poses.results), 'keypoints')
        stock.evaluate()
        stock.accumulate()
        stock.summarize()
    expected = dict(zip(METRICS, stock.stats[[0, 1, 2, 5]]))
    assert found == pytest.approx(expected) and 0 < found['AP'] < 1
    image = anns[4]['image_id']
    for ann in people.by_image[image]:
        oks = [
            figures.similarity(np.reshape(r['keypoints'], (17, 3))[:, :2], ann, model)
            for r in sorted(poses.results, key=lambda r: -r['score'])
            if r['image_id'] == image
        ]
        column = people.by_image[image].index(ann)
        np.testing.assert_allclose(oks, stock.ious[image, 1][:, column])


def test_crowd_index_is_that_of_the_data_set(real_data):
    content = json.loads((real_data / 'crowdpose/test_crowdpose.json').read_text())
    given = {image['id']: image.pop('crowdIndex') for image in content['images']}
    coco = COCO()
    coco.dataset = content
    coco.createIndex()
    metric = SimpleNamespace(coco=coco, iou_type='keypoints_crowd')
    assert People(metric).crowding == pytest.approx(given, abs=0.005)


def test_boxes_are_suppressed_as_elsewhere():
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 40, (60, 2))
    boxes = np.c_[corner, corner + rng.uniform(20, 60, (60, 2))]
    scores = rng.permutation(60) / 60
    images = rng.integers(0, 3, 60)
    run = SimpleNamespace(images=images.tolist(), boxes=boxes, box_scores=scores)
    expected = []
    for image in range(3):
        rows = np.flatnonzero(images == image)
        kept = nms(torch.tensor(boxes[rows]), torch.tensor(scores[rows]), 0.5)
        expected += rows[kept.numpy()].tolist()
    found = np.flatnonzero(fewer_boxes.suppress_boxes(run, 0.5)).tolist()
    assert found == sorted(expected) and 10 < len(found) < 50
    assert fewer_boxes.suppress_boxes(run, 1.0).all()


def write_model(folder, name, where, metric):
    """A config and a checkpoint of random weights."""
    torch.manual_seed(0)
    dataset = coco_dataset_config(folder, val_pipeline(), test_mode=True)
    loader = dict(batch_size=8, num_workers=0, dataset=dataset)
    loader['sampler'] = dict(type='DefaultSampler', shuffle=False)
    model = estimator_config(where, 2)
    evaluator = dict(type=metric, ann_file=f'{folder}/annotations.json')
    cfg = dict(model=model, test_dataloader=loader, test_evaluator=evaluator)
    cfg.update(custom_imports=dict(imports=['mipnet_mmpose']), default_scope='mmpose')
    Config(dict(cfg, test_cfg=dict())).dump(folder / f'{name}.py')
    network = MODELS.build(model)
    for parameter in network.parameters():
        if parameter.dim() == 2:  # of the MIMBs
            torch.nn.init.normal_(parameter)
    torch.save(dict(state_dict=network.state_dict()), folder / f'{name}.pth')
    return [str(folder / f'{name}.py'), str(folder / f'{name}.pth')]


@pytest.fixture
def models(coco_folder, monkeypatch):
    """Two models and a crowd; the areas make a pose from noise right at times."""
    monkeypatch.setattr(cost, 'TIMING_ROUNDS', 1)
    rng = np.random.default_rng(0)
    people = [
        person(i, i // 3, *rng.uniform(0, 70, 2), 60, 50, area=rng.uniform(1e4, 2e5))
        for i in range(30)
    ]
    folder = coco_folder(people)
    (folder / 'images').symlink_to(folder)
    return {
        'folder': folder,
        'baseline': write_model(folder, 'baseline', None, 'CocoMetric'),
        'mipnet': write_model(folder, 'mipnet', 'backbone', 'MultiInstanceCocoMetric'),
    }


def run_compare(models, *args):
    compare.main(
        [
            *('--baseline', *models['baseline'], '--mipnet', *models['mipnet']),
            *('-o', str(models['folder'] / 'out'), *args),
        ]
    )
    return json.loads((models['folder'] / 'out' / 'report.json').read_text())


def mmpose_figures(config, checkpoint, folder):
    tools = Path(find_spec('mmpose').origin).parent / '.mim' / 'tools'
    command = [sys.executable, tools / 'test.py', config, checkpoint]
    command += ['--out', folder / 'figures.json', '--work-dir', folder / 'work']
    result = subprocess.run(
        [str(part) for part in command],
        env=dict(os.environ, CUDA_VISIBLE_DEVICES='', OMP_NUM_THREADS='1'),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert result.returncode == 0, result.stdout[-3000:]
    return json.loads((folder / 'figures.json').read_text())


@pytest.mark.slow
def test_table_is_what_mmpose_prints(models, capsys):
    folder = models['folder']
    report = run_compare(models)
    figures = report['tables']['all']['all']
    assert figures['people'] == 30
    for name, rows in (
        ('baseline', {'baseline': ''}),
        (
            'mipnet',
            {'MIPNet': '', 'λ = 0 alone': 'lambda0/', 'λ = 1 alone': 'lambda1/'},
        ),
    ):
        expected = mmpose_figures(*models[name], folder)
        for row, prefix in rows.items():
            for metric, key in METRICS.items():
                assert figures[row][metric] == expected[f'coco/{prefix}{key}']
            assert 0 < figures[row]['AP'] < 1
    assert figures['best of 2']['AR'] > figures['λ = 0 alone']['AR']

    text = (folder / 'out' / 'report.md').read_text()
    assert f'| MIPNet | {100 * figures["MIPNet"]["AP"]:.1f} |' in text
    assert capsys.readouterr().out.splitlines()[-1] == str(folder / 'out/report.md')
    for name in ('overlap', 'crowding', 'boxes', 'crops'):
        assert f'({name}.png)' in text
        assert cv2.imread(str(folder / 'out' / f'{name}.png')) is not None
    for kind in ('overlap', 'crowding'):
        bins = report['tables'][kind]
        assert sum(row['people'] for row in bins.values()) == 30
    assert report['curves'].keys() == {'nms'}
    every_box = report['curves']['nms'][0]
    assert every_box['boxes'] == 30
    for name in ('baseline', 'MIPNet'):
        assert every_box[name] == figures[name]
    cost = report['cost']['models']
    assert cost['MIPNet']['multiply_adds'] > cost['baseline']['multiply_adds'] > 1e6
    assert len(report['crops']) == 10  # one of each image


@pytest.mark.slow
def test_detected_boxes(models):
    folder = models['folder']
    people = json.loads((folder / 'annotations.json').read_text())['annotations']
    detections = [
        dict(image_id=p['image_id'], category_id=1, bbox=p['bbox'], score=s)
        for p, s in zip(people, np.linspace(0.05, 0.85, 30))
    ]
    (folder / 'boxes.json').write_text(json.dumps(detections))
    args = ['--data', str(folder), '--boxes', str(folder / 'boxes.json')]
    report = run_compare(models, *args)
    points = report['curves']['score']
    counts = [sum(d['score'] >= p['threshold'] for d in detections) for p in points]
    assert [point['boxes'] for point in points] == counts and counts[-1] == 0
    assert points[0]['MIPNet'] == report['tables']['all']['all']['MIPNet']
    assert points[-1]['MIPNet'] == dict(AP=0, AP50=0, AP75=0, AR=0)
    recall = [point['baseline']['AR'] for point in points]
    assert recall == sorted(recall, reverse=True)


@pytest.mark.slow
def test_wrong_input_is_named(models, tmp_path):
    missing = dict(models, baseline=['nowhere.py', models['baseline'][1]])
    with pytest.raises(SystemExit, match='--baseline: nowhere.py does not exist'):
        run_compare(missing)
    swapped = [models['mipnet'][0], models['baseline'][1]]
    with pytest.raises(SystemExit, match='--mipnet: .*no weights for'):
        run_compare(dict(models, mipnet=swapped))
    with pytest.raises(SystemExit, match='--data: .*annotations.json does not exist'):
        run_compare(models, '--data', str(tmp_path / 'empty'))
    with pytest.raises(SystemExit, match='--mipnet: .*one pose a box'):
        run_compare(dict(models, mipnet=models['baseline']))
    with pytest.raises(SystemExit, match='--baseline: .*several poses'):
        run_compare(dict(models, baseline=models['mipnet']))


def test_files_that_cannot_be_right_are_named(models):
    file = models['folder'] / 'annotations.json'
    boxes = models['folder'] / 'boxes.json'
    boxes.write_text(json.dumps([dict(image_id=0, category_id=1, bbox=[1, 2, 30, 40])]))
    with pytest.raises(SystemExit, match='--baseline: .*boxes.json: .* has no score'):
        run_compare(models, '--boxes', str(boxes))
    content = json.loads(file.read_text())
    for annotation in content['annotations']:
        annotation['area'] = 0
    file.write_text(json.dumps(content))
    with pytest.raises(SystemExit, match='--baseline: .*annotations.json: all 30'):
        run_compare(models)
