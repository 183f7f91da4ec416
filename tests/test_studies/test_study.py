"""What the study trains, and how its figures are made of the poses."""

import argparse
import json
import sys

import numpy as np
import pytest
from mmengine import dump

from ..conftest import load_tool, person
from ..test_tools.test_compare import people_of

study = load_tool('study')
runs = load_tool('study_runs')
measured = load_tool('study_figures')
study_report = load_tool('study_report')


@pytest.fixture
def args(tmp_path):
    return argparse.Namespace(
        out=tmp_path,
        network='small',
        seeds=2,
        pretraining=24,
        epochs=4,
        crowded_epochs=5,
        device='cpu',
        doc=None,
    )


@pytest.mark.slow
def test_every_run_has_its_config(args):
    plan = runs.planned_runs(args)
    assert len(plan) == 20
    configs = {name: runs.run_config(args, plan[name], name) for name in plan}
    for name, cfg in configs.items():
        data = runs.stock_dataset(cfg.train_dataloader)
        crowd = 'crowded' if name.startswith('crowded') else 'train'
        assert data.data_root == f'{args.out}/data/{crowd}/'
        if name != 'pretrained':
            assert cfg.param_scheduler[1].end == cfg.train_cfg.max_epochs
        assert cfg.param_scheduler[0].end == 100  # iterations
        assert cfg.randomness.seed == plan[name]['seed']
    assert 'num_instances' not in configs['baseline-1'].model.head
    assert configs['neck-0'].model.neck.type == 'MIMBNeck'
    assert configs['longer-0'].train_cfg.max_epochs == 7
    assert configs['scratch-0'].train_cfg.max_epochs == 20
    cfg = configs['N3-0']
    for part in (cfg.model.backbone, cfg.model.head, cfg.train_dataloader.dataset):
        assert part.num_instances == 3
    start, further = configs['pretrained'], configs['backbone-1']
    assert start.train_cfg.max_epochs == 24 and start.param_scheduler[1].end == 36
    assert further.load_from == str(args.out / 'pretrained' / 'epoch_24.pth')
    assert start.get('load_from') is None and configs['scratch-0'].load_from is None
    assert further.model.backbone.init == 'identity'
    frozen = configs['crowded-frozen-1']
    assert frozen.model.backbone.bypass_primary and frozen.model.head.presence == {}
    assert frozen.custom_hooks[-1].type == 'FreezeStockHook'
    assert 'crowded-baseline-1/epoch_' in frozen.load_from
    assert start.optim_wrapper.optimizer.lr == 0.002
    assert further.optim_wrapper.optimizer.lr == 0.001
    assert configs['scratch-0'].optim_wrapper.optimizer.lr == 0.002


def test_unknown_runs_are_named(monkeypatch, tmp_path):
    monkeypatch.setattr(
        sys, 'argv', ['study', '--out', str(tmp_path), '--runs', 'baseline-7']
    )
    with pytest.raises(SystemExit, match='--runs baseline-7 is none of pretrained,'):
        study.main()


@pytest.mark.slow
def test_the_start_of_a_run_comes_before_it(monkeypatch, tmp_path):
    """With one worker, which would wait for it for ever."""
    order = []
    monkeypatch.setattr(study, 'make_data', lambda args: None)
    monkeypatch.setattr(study, 'report', lambda args, results: None)
    monkeypatch.setattr(
        study, 'run_one', lambda args, name: order.append(name) or dict(run=name)
    )
    argv = ['study', '--out', str(tmp_path), '--runs', 'longer-1', 'neck-0']
    monkeypatch.setattr(sys, 'argv', argv)
    study.main()
    assert order == ['pretrained', 'neck-0', 'longer-1']


def test_runs_of_other_settings_are_not_mixed(args):
    args.images, args.test_images = 4000, 500
    study.check_settings(args)
    study.check_settings(args)
    args.pretraining = 12
    with pytest.raises(SystemExit, match='has runs of --pretraining 24'):
        study.check_settings(args)


def test_who_found_whom():
    a, b, c = (person(i, 1, 30 * i, 0, 60, 60) for i in (1, 2, 3))
    people, model = people_of([a, b, c])
    pose = {
        k: np.reshape(ann['keypoints'], (17, 3))[:, :2]
        for k, ann in enumerate((a, b, c))
    }
    nobody = pose[0] + 500
    model.images = [1, 1, 1]
    # a: own λ = 0. b: λ = 1 of a's box, though not in its own. c: λ = 1 of its own.
    model.keypoints = np.array(
        [[pose[0], pose[1]], [pose[0], nobody], [pose[0], pose[2]]]
    )
    found = measured.who_found_whom(people, model, [a, b, c])
    assert found == {
        'own box, λ = 0': 1,
        'own box, λ ≥ 1': 1,
        'other box, λ = 0': 0,
        'other box, λ ≥ 1': 1,
        'nobody': 0,
    }


def test_whom_boxes_answer(args):
    pair = [person(i, 1, x, 0, 60, 60) for i, x in ((1, 0), (2, 8))]
    data = args.out / 'data' / 'overlapped'
    data.mkdir(parents=True)
    (data / 'annotations.json').write_text(json.dumps(dict(annotations=pair)))
    first, second = (np.reshape(a['keypoints'], (17, 3))[:, :2] for a in pair)
    far = first + 500

    def sample(left, *poses):
        box = np.array([[left, 0, left + 60, 60]])
        return dict(img_id=1, pred_instances=dict(bboxes=box, keypoints=poses))

    samples = [sample(0, first, second), sample(0, far, first), sample(8, first, far)]
    samples.append(sample(300, first, second))  # nobody's box
    (args.out / 'backbone-0').mkdir()
    dump(samples, str(args.out / 'backbone-0' / 'backbone-0.pkl'))
    found = measured.whom_boxes_answer(args, 'backbone-0')
    assert found == pytest.approx([1 / 3] * 5)
    assert measured.whom_boxes_answer(args, 'baseline-0') is None


def made_up_result(name, ap, multiple):
    figures = dict(AP=ap, AP50=ap, AR=ap)
    truth = dict(figures, found={'own box, λ = 0': 3, 'nobody': 1})
    truth['merged'] = [dict(figures)] * len(measured.OKS_THRESHOLDS)
    if multiple:
        truth['decay'] = [dict(figures, decay=d) for d in measured.DECAYS]
        truth['alone'] = [dict(figures), dict(figures, AP=0.2)]
    thinned = [
        dict(figures, AP=ap - i / 100) for i in range(len(measured.NMS_THRESHOLDS))
    ]
    boxes = {'ground truth': truth, 'detections': dict(figures, thinned=thinned)}
    return dict(run=name, **dict.fromkeys(runs.STRENGTHS, boxes))


def test_tables_and_plots_of_the_seeds(args, capsys):
    results = {
        name: made_up_result(name, ap, multiple)
        for name, ap, multiple in (
            ('baseline-0', 0.5, False),
            ('baseline-1', 0.6, False),
            ('backbone-0', 0.7, True),
        )
    }
    study_report.report(args, results)
    text = (args.out / 'tables.md').read_text()
    assert '| apart | baseline | 2 | 55.0 ± 7.1 | 55.0 ± 7.1 | 55.0 ± 7.1 |' in text
    assert '| apart | backbone | 1 | 70.0 | 70.0 | 70.0 |' in text
    assert '| 70.0 | 69.0 | 68.0 | 67.0 | 66.0 | 65.0 | 64.0 | 6.0 |' in text
    assert '| apart | backbone | 75.0 | 25.0 |' in text
    assert '| apart | backbone | 70.0 | 20.0 |  |' in text  # each λ alone
    doc = args.out / 'results.md'
    names = ('all', 'thinned', 'who', 'merged', 'decay', 'alone', 'answers')
    doc.write_text(''.join(f'<!-- table: study {n} -->\n<!-- end -->\n' for n in names))
    args.doc = doc
    study_report.report(args, results)
    assert '| apart | backbone | 75.0 | 25.0 |' in doc.read_text()
    printed = capsys.readouterr().out.splitlines()
    for name in ('tables.md', 'overlap.png', 'thinned.png'):
        assert str(args.out / name) in printed
        assert (args.out / name).stat().st_size > 0
