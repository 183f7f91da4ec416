"""The comparison's figures beside MMPose's runner and closed forms."""

import json

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmpose.registry import MODELS

from mipnet_mmpose.comparison import TestedModel, by_overlap, fewer_boxes

from ..conftest import (
    coco_dataset_config,
    estimator_config,
    load_tool,
    person,
    run_script,
    val_pipeline,
)

compare = load_tool('compare')


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
    monkeypatch.setattr('mipnet_mmpose.comparison.cost.ROUNDS', 1)
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
    out = models['folder'] / 'out'
    paths = ['--baseline', *models['baseline'], '--mipnet', *models['mipnet']]
    run_script(compare, *paths, '-o', out, *args)
    return json.loads((out / 'report.json').read_text())


def mmpose_figures(config, checkpoint, folder):
    cfg = Config.fromfile(config)
    cfg.update(load_from=checkpoint, work_dir=str(folder / 'work'))
    return Runner.from_cfg(cfg).test()


@pytest.mark.slow
def test_figures_are_what_mmpose_prints(models, capsys):
    folder = models['folder']
    report = run_compare(models)
    page = capsys.readouterr().out.splitlines()[-1]
    assert page == str(folder / 'out' / 'report.md')
    everybody = report['boxes'][0]
    assert everybody['boxes'] == 30
    for name in ('baseline', 'MIPNet'):
        expected = mmpose_figures(*models[name.lower()], folder)
        assert 0 < everybody[name]['AP'] < 1
        for metric, key in dict(AP='AP', AP50='AP .5', AR='AR').items():
            assert everybody[name][metric] == expected[f'coco/{key}']
    assert sum(row['people'] for row in report['overlap'].values()) == 30
    cost = report['cost']
    assert cost['MIPNet']['multiply-adds'] > cost['baseline']['multiply-adds'] > 1e6
    text = (folder / 'out' / 'report.md').read_text()
    assert f'| {100 * everybody["MIPNet"]["AP"]:.1f} |' in text
    assert cv2.imread(str(folder / 'out' / 'report.png')) is not None


def test_other_boxes_and_data(models):
    folder = models['folder']
    people = json.loads((folder / 'annotations.json').read_text())['annotations']
    detections = [
        dict(image_id=p['image_id'], category_id=1, bbox=p['bbox'], score=0.5)
        for p in people[::2]
    ]
    (folder / 'boxes.json').write_text(json.dumps(detections))
    args = '--data', folder, '--boxes', folder / 'boxes.json'
    points = run_compare(models, *args)['boxes']
    counts = [point['boxes'] for point in points]
    assert counts[0] == 15 and counts == sorted(counts, reverse=True)
    recall = [point['baseline']['AR'] for point in points]
    assert recall == sorted(recall, reverse=True)


class Perfect(TestedModel):
    """Every pose is right, but for those of some people, who are found nowhere."""

    def __init__(self, folder, cfg, missed):
        super().__init__(cfg, folder / 'baseline.pth', folder / 'out')
        for pred, _ in self._results:
            ann = self.annotations[pred['id']]
            pose = np.reshape(ann['keypoints'], (1, -1, 3))[..., :2]
            pred['keypoints'] = pose + 500 * (ann['id'] in missed)


def test_people_of_other_rows_count_neither_way(coco_folder):
    # two people whose boxes overlap by 0.8, and one alone in another image
    people = [(1, 1, 0, 0), (2, 1, 10, 0), (3, 2, 0, 0)]
    folder = coco_folder([person(*where, 90, 90) for where in people])
    config, _ = write_model(folder, 'baseline', None, 'CocoMetric')
    models = {'some': Perfect(folder, Config.fromfile(config), missed=[2])}
    rows = by_overlap(models)
    assert [row['people'] for row in rows.values()] == [1, 0, 0, 2]
    assert rows['below 0.1']['some'] == pytest.approx(dict(AP=1, AP50=1, AR=1))
    assert rows['0.1 to 0.5']['some'] == dict(AP=None, AP50=None, AR=None)
    # one of two found: at 51 of the 101 recall levels the precision is 1 or 1/2
    close = rows['above 0.75']['some']
    assert close['AR'] == pytest.approx(0.5)
    assert close['AP50'] == pytest.approx(51 / 101)
    assert models['some'].evaluate()['AR'] == pytest.approx(2 / 3)
    # at IoU 0.7 one of the pair's boxes is left, at 0.8 and more both
    assert [p['boxes'] for p in fewer_boxes(models)] == [3, 3, 3, 2, 2, 2, 2, 2]


def test_wrong_input_is_named(models):
    swapped = [models['mipnet'][0], models['baseline'][1]]
    with pytest.raises(SystemExit, match='no weights for'):
        run_compare(dict(models, mipnet=swapped))
    detections = [dict(image_id=0, category_id=1, bbox=[1, 2, 30, 40], score=1)]
    (models['folder'] / 'boxes.json').write_text(json.dumps(detections))
    config = models['folder'] / 'other.py'
    boxes = f'{models["folder"]}/boxes.json'
    loader = dict(dataset=dict(bbox_file=boxes))
    config.write_text(f"_base_ = ['./mipnet.py']\ntest_dataloader = {loader}\n")
    with pytest.raises(SystemExit, match='different boxes'):
        run_compare(dict(models, mipnet=[str(config), models['mipnet'][1]]))
