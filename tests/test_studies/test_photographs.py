"""What the study on photographs trains, and how it counts whom a box finds."""

from argparse import Namespace
from types import SimpleNamespace

import numpy as np
import pytest

from ..conftest import load_tool, person

study = load_tool('photographs')
runs = load_tool('photographs_runs')
figures = load_tool('photographs_figures')

SIGMAS = np.full(17, 0.05)


@pytest.fixture
def args(tmp_path):
    (tmp_path / 'released.pth').touch()
    names = ['a.json', 'b.json', 'test.json', 'images', 'weights.onnx']
    a, b, test, images, weights = (tmp_path / name for name in names)
    return Namespace(
        train=[a, b],
        test=test,
        images=images,
        weights=weights,
        out=tmp_path,
        seeds=2,
        epochs=4,
        device='cpu',
    )


def test_every_kind_is_trained_for_its_seeds(args):
    plan = runs.planned_runs(args)
    assert {run['kind'] for run in plan.values()} == set(runs.KINDS)
    assert len(plan) == 1 + 2 * (len(runs.KINDS) - 1)
    assert plan['longer-1'] == dict(kind='longer', epochs=6, seed=1)


@pytest.mark.parametrize('kind', runs.KINDS)
def test_config_of_each_kind(args, kind):
    cfg = runs.run_config(args, dict(kind=kind, epochs=4, seed=1))
    dataset = cfg.train_dataloader.dataset
    kinds = list(runs.KINDS)
    is_mipnet = kinds.index(kind) >= kinds.index('paper')
    assert dataset.get('num_instances') == (2 if is_mipnet else 1)
    assert ('paste_people' in dataset) == (kind != 'paper')
    has_presence = kinds.index(kind) >= kinds.index('presence')
    assert (cfg.model.head.get('presence') is not None) == has_presence
    metric = 'MultiInstanceCocoMetric' if is_mipnet else 'CocoMetric'
    assert cfg.test_evaluator.type == metric
    if is_mipnet:
        assert cfg.model.backbone.init == 'identity'
        assert cfg.model.backbone.get('bypass_primary', False) == (kind == 'frozen')
        assert 'backbone.mimbs' in cfg.optim_wrapper.paramwise_cfg.custom_keys
    hooks = [hook['type'] for hook in cfg.custom_hooks]
    assert ('FreezeStockHook' in hooks) == (kind == 'frozen')


def fake(annotations, poses):
    """People, and a model whose box of each has these poses."""
    people = SimpleNamespace(
        by_image={1: annotations}, owners=lambda images, boxes: annotations
    )
    model = SimpleNamespace(
        images=[1] * len(annotations),
        boxes=None,
        presence=None,
        keypoints=np.array(poses),
        sigmas=SIGMAS,
        metric=SimpleNamespace(use_area=True),
    )
    return people, model


def keypoints(annotation):
    return np.reshape(annotation['keypoints'], (17, 3))[:, :2]


def test_a_box_that_answers_both_counts_once():
    a, b = person(1, 1, 20, 10, 60, 90), person(2, 1, 35, 10, 60, 90)
    ours, theirs = keypoints(a), keypoints(b)
    people, model = fake([a, b], [[ours, theirs], [ours, ours]])
    found = figures.whom_one_box_finds(people, model, 0.3)
    assert found == {
        'boxes': 2,
        'reached': 1,
        'both': 1,
        'own first': 1,
        'other first': 1,
    }
    assert figures.whom_one_box_finds(people, model, 0.9)['boxes'] == 0


def test_a_pose_of_little_presence_does_not_count():
    a, b = person(1, 1, 20, 10, 60, 90), person(2, 1, 35, 10, 60, 90)
    people, model = fake([a, b], [[keypoints(a), keypoints(b)]] * 2)
    model.presence = np.array([[1, 0.8], [1, 0.6]])
    found = [
        figures.whom_one_box_finds(people, model, 0.3, presence)['both']
        for presence in (0.5, 0.7, 0.9)
    ]
    assert found == [2, 1, 0]


def test_one_pose_is_not_two_persons():
    """Two persons in the same place, one pose: it finds both, but not two of them."""
    a, b = person(1, 1, 20, 10, 60, 90), person(2, 1, 20, 10, 60, 90)
    b['keypoints'] = a['keypoints']
    people, model = fake([a, b], [[keypoints(a)]] * 2)
    assert figures.whom_one_box_finds(people, model, 0.3)['both'] == 0


def result(seed, ap, thresholds=None):
    figures = dict.fromkeys(['AP', 'AR50', 'AP50'], ap)
    figures.update({'AP interval': [ap, ap], 'AR50 interval': [ap / 2, ap]})
    parts = dict.fromkeys(['all', 'crowded', 'pasted pairs', 'front box'], figures)
    pairs = {'0.3': dict(both=10 + seed, reached=20, boxes=40)}
    more = dict(thresholds=thresholds) if thresholds else {}
    return {
        'run': f'frozen-{seed}',
        'kind': 'frozen',
        'real pairs': pairs,
        'lone': dict(persons=50, twice=1),
        **parts,
        **more,
    }


def test_tables_are_means_over_the_seeds():
    points = [[dict(threshold=0.5, twice=t, both=b)] for t, b in ((4, 10), (6, 13))]
    found = study.tables([result(0, 0.5, points[0]), result(1, 0.6, points[1])])
    row = found['photographs'].splitlines()[-1]
    assert row.startswith('| frozen | 2 | 55.0 (50.0 to 60.0) |')
    assert '| 10.5 (20) of 40 |' in row and row.endswith('| 2.0 |')
    assert '| frozen-1 | 60.0 (60.0 to 60.0) |' in found['photographs intervals']
    row = found['photographs presence'].splitlines()[-1]
    assert row == '| frozen | 0.5 | 10.0 % of 50 | 11.5 |'
    assert 'photographs presence' not in study.tables([result(0, 0.5)])
