"""Stock configs as MIPNets: what is written, what works, what is refused."""

import copy
import re

import pytest
import torch
from mmengine.config import Config
from mmengine.optim import build_optim_wrapper
from mmengine.runner import Runner
from mmpose.evaluation.metrics import CocoMetric
from mmpose.registry import MODELS

from mipnet_mmpose import MIMB
from mipnet_mmpose.mipnetify import apply_changes, crop_size, mipnetify, parse_place
from mipnet_mmpose.mipnetify.changes import fine_tuning
from mipnet_mmpose.mipnetify.places import MIMB_PLACES
from mipnet_mmpose.mmpose_files import find_config

from ..conftest import (
    coco_dataset_config,
    estimator_config,
    load_tool,
    run_script,
    train_pipeline,
)
from ..test_configs import plain

tool = load_tool('mipnetify')
MOBILENET = 'td-hm_mobilenetv2_8xb64-210e_coco-256x192'
RTMPOSE = 'rtmpose-t_8xb256-420e_coco-256x192'
WRITTEN = {
    RTMPOSE: dict(load_from=True, freeze=True, presence=True, paste_people=True),
    'td-hm_ViTPose-small_8xb64-210e_coco-256x192': dict(where='backbone'),
    MOBILENET: dict(
        insert=['layer4:before', 'conv2:after'], reduction=8, num_instances=3
    ),
    'td-reg_mobilenetv2_rle-pretrained-8xb64-210e_coco-256x192': dict(load_from=True),
}


@pytest.fixture
def checkpoint(tmp_path):
    path = tmp_path / 'stock.pth'
    path.write_bytes(b'')
    return str(path)


def run_tool(capsys, *args):
    """Run the tool as a user would; what it prints, by line."""
    run_script(tool, *args)
    return capsys.readouterr().out.splitlines()


@pytest.mark.parametrize('stock', WRITTEN)
def test_the_written_config_is_that_made_in_python(stock, tmp_path, capsys, checkpoint):
    if 'ViT' in stock:
        pytest.importorskip('mmpretrain')
    options = dict(WRITTEN[stock])
    if 'load_from' in options:
        options['load_from'] = checkpoint
    words = []
    for key, value in options.items():
        words.append(f'--{key.replace("_", "-")}')
        words += value if isinstance(value, list) else [value] * (value is not True)
    out = tmp_path / 'mipnet.py'
    assert str(out) in run_tool(capsys, stock, '-o', out, *words)
    assert len(out.read_text().splitlines()) < 60

    cfg = Config.fromfile(find_config(stock))
    before = copy.deepcopy(cfg.to_dict())
    if 'insert' in options:
        options['insert'] = [parse_place(place) for place in options['insert']]
    made, written = mipnetify(cfg, **options), Config.fromfile(out)
    assert plain(written.to_dict()) == plain(made.to_dict())
    assert cfg.to_dict() == before
    model = MODELS.build(written.model)
    assert {m.num_instances for m in model.modules() if isinstance(m, MIMB)} == {
        options.get('num_instances', 2)
    }


def small_config(**changes):
    """A small top-down config, as a user may have built one in Python."""
    dataset = coco_dataset_config('data', train_pipeline())
    return Config(
        dict(
            model=estimator_config(where=None),
            train_dataloader=dict(batch_size=2, dataset=dataset),
            val_evaluator=dict(type='CocoMetric', ann_file='val.json'),
            test_evaluator=dict(type='CocoMetric', ann_file='test.json'),
            **changes,
        )
    )


def test_only_what_has_to_change_changes():
    cfg = small_config(custom_imports=dict(imports='my_package'), work_dir='here')
    made = mipnetify(cfg, num_instances=3)
    dataset = cfg.train_dataloader.dataset
    expected = dict(
        cfg.to_dict(),
        custom_imports=dict(imports=['mipnet_mmpose', 'my_package']),
        num_instances=3,
        custom_hooks=[dict(type='MIPNetCheckHook')],
        model=dict(
            cfg.model,
            neck=dict(type='MIMBNeck', in_channels=8, num_instances=3),
            head=dict(type='MIPNetHead', head=cfg.model.head),
        ),
        train_dataloader=dict(
            batch_size=2,
            dataset=dict(
                type='MultiInstanceDataset',
                dataset=dict(dataset, pipeline=[]),
                pipeline=dataset.pipeline,
                num_instances=3,
            ),
        ),
        val_evaluator=dict(type='MultiInstanceCocoMetric', ann_file='val.json'),
        test_evaluator=dict(type='MultiInstanceCocoMetric', ann_file='test.json'),
    )
    assert made.to_dict() == Config(expected).to_dict()


def test_levels_that_the_head_reads_are_modulated_behind_the_stock_neck():
    cfg = small_config()
    cfg.model.backbone = dict(type='ResNet', depth=18, out_indices=(1, 2, 3))
    cfg.model.head.in_channels = 512
    assert mipnetify(cfg).model.neck.in_channels == [None, None, 512]
    cfg.model.neck = dict(type='FeatureMapProcessor', concat=True)
    cfg.model.head.in_channels = 128 + 256 + 512
    neck = dict(type='MIMBNeck', in_channels=896, num_instances=2, neck=cfg.model.neck)
    assert mipnetify(cfg).model.neck == neck


N_POSES, PRIMARY = 'MultiInstanceCocoMetric', 'PrimaryInstanceMetric'
COCO = dict(type='CocoMetric', nms_mode='none')  # as MSPN and RSN have it
AUC = dict(type='mmpose.AUC')
DUMP = dict(type='DumpResults', out_file_path='x.pkl')


@pytest.mark.parametrize(
    ('evaluator', 'kinds'),
    [
        ([dict(type=CocoMetric), AUC, DUMP], [N_POSES, PRIMARY, 'DumpResults']),
        (dict(type='Evaluator', metrics=[COCO, AUC]), [N_POSES, PRIMARY]),
        (
            dict(
                type='MultiDatasetEvaluator',
                metrics=[COCO, dict(type='AUC')],
                datasets=[dict(type='CocoDataset'), dict(type='OCHumanDataset')],
            ),
            [N_POSES, PRIMARY],
        ),
        (AUC, [PRIMARY]),
    ],
)
def test_every_form_of_evaluator_is_built_with_metrics_for_n_poses(evaluator, kinds):
    """As mmengine's runner builds it."""
    cfg = small_config()
    cfg.val_evaluator = cfg.test_evaluator = evaluator
    built = Runner.build_evaluator(None, mipnetify(cfg).test_evaluator)
    found = [
        # what PrimaryInstanceMetric returns is the stock metric
        PRIMARY if 'process' in vars(metric) else type(metric).__name__
        for metric in built.metrics
    ]
    assert found == kinds
    if kinds[0] == N_POSES:
        assert built.metrics[0].settings['nms_mode'] == 'oks_nms'
    multi = 'datasets' in evaluator
    assert type(built).__name__ == ('MultiDatasetEvaluator' if multi else 'Evaluator')


@pytest.mark.parametrize('where', ['neck', 'backbone'])
def test_trained_model_is_left_as_it_was_and_frozen(where, checkpoint):
    cfg = small_config(custom_hooks=[dict(type='SyncBuffersHook')])
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint='imagenet.pth')

    def folds(**options):
        model = mipnetify(cfg, where=where, **options).model
        return model.neck if where == 'neck' else model.backbone

    trained = dict(load_from=checkpoint)
    assert 'init' not in folds() and 'init' not in folds(**trained, init='paper')
    assert folds(**trained).init == 'identity'
    assert folds(**trained, freeze=True).bypass_primary
    made = mipnetify(cfg, where=where, **trained, freeze=True, presence=True)
    hooks = [hook.type for hook in made.custom_hooks]
    assert hooks == ['SyncBuffersHook', 'MIPNetCheckHook', 'FreezeStockHook']
    assert made.model.head.presence == {}
    # the weights that the stock backbone starts from are not fetched then
    backbone = made.model.backbone
    assert backbone.get('backbone', backbone).init_cfg is None
    assert where == 'neck' or backbone.input_size == (96, 128)  # of the crops
    assert made.load_from == checkpoint
    with pytest.raises(ValueError, match='freeze needs load_from'):
        mipnetify(cfg, freeze=True)
    url = 'https://example.org/w.pth'
    assert mipnetify(cfg, load_from=url).load_from == url


def learning_rates(cfg):
    """Of the MIMBs, and of all else, as the runner gives them."""
    model = MODELS.build(cfg.model)
    groups = build_optim_wrapper(model, cfg.optim_wrapper).param_groups
    rates = {id(p): round(g['lr'], 12) for g in groups for p in g['params']}
    new, stock = set(), set()
    for name, parameter in model.named_parameters():
        (new if 'mimbs' in name else stock).add(rates[id(parameter)])
    return new, stock


@pytest.mark.parametrize(
    ('where', 'wrapper'),
    [
        ('backbone', dict()),
        ('neck', dict(paramwise_cfg=dict(custom_keys=dict(norm=dict(decay_mult=0.0))))),
        ('backbone', dict(paramwise_cfg=dict(custom_keys=dict(backbone=dict())))),
        (
            'backbone',
            dict(
                constructor='LayerDecayOptimWrapperConstructor',
                paramwise_cfg=dict(num_layers=12, layer_decay_rate=0.8),
            ),
        ),
    ],
    ids=['plain', 'custom_keys', 'backbone', 'layer decay'],
)
def test_stock_layers_learn_at_a_tenth_of_the_rate(where, wrapper, checkpoint):
    adam = dict(type='Adam', lr=5e-4, weight_decay=0.01)
    cfg = small_config(
        train_cfg=dict(max_epochs=210, val_interval=10),
        optim_wrapper=dict(wrapper, optimizer=adam),
    )
    made = mipnetify(cfg, where=where, load_from=checkpoint)
    assert learning_rates(made) == ({5e-4}, {5e-5})
    frozen = mipnetify(cfg, where=where, load_from=checkpoint, freeze=True)
    assert frozen.optim_wrapper == cfg.optim_wrapper
    assert frozen.train_cfg.max_epochs == 20


# of each shape of schedule: the epochs of a stock config at which something happens
@pytest.mark.parametrize(
    ('stock', 'events'),
    [
        ('td-hm_hrnet-w32_8xb64-210e_coco-256x192', (170, 200, 210)),
        ('td-hm_hrnetv2-w18_8xb64-60e_wflw-256x256', (40, 55, 60)),
        (RTMPOSE, (210, 390, 420)),
    ],
)
def test_what_happens_in_a_training_happens_at_the_same_share_of_it(stock, events):
    cfg = Config.fromfile(find_config(stock))
    made = apply_changes(cfg, fine_tuning(cfg, freeze=False))
    total = cfg.train_cfg.max_epochs
    scheduler = made.param_scheduler[1]
    if 'rtmpose' in stock:
        switch = next(h for h in made.custom_hooks if 'switch_epoch' in h)
        found = (scheduler.begin, switch.switch_epoch, scheduler.end)
        assert scheduler.begin + scheduler.T_max == scheduler.end
        # the stock layers' own rate falls as far as all rates of the stock training
        lowest = cfg.param_scheduler[1].eta_min / cfg.optim_wrapper.optimizer.lr
        assert scheduler.eta_min_ratio == pytest.approx(lowest)
    else:
        found = (*scheduler.milestones, made.train_cfg.max_epochs)
    assert len(set(found)) == 3  # something happens yet
    for ours, theirs in zip(found, events):
        assert ours / 20 == pytest.approx(theirs / total, abs=0.05)
    assert made.train_cfg.max_epochs == 20
    assert made.param_scheduler[0] == cfg.param_scheduler[0]  # the warm-up's iterations


@pytest.mark.slow
def test_a_warm_start_leaves_lambda_0_as_the_stock_model():
    """With RTMCCHead; HeatmapHead is in test_estimator, SimCCHead in test_studies."""
    cfg = Config.fromfile(find_config(RTMPOSE))
    torch.manual_seed(0)
    stock = MODELS.build(copy.deepcopy(cfg.model)).eval()
    mipnet = MODELS.build(mipnetify(cfg, init='identity').model).eval()
    missing, unexpected = mipnet.load_state_dict(stock.state_dict(), strict=False)
    assert all('mimbs' in key for key in missing) and not unexpected
    crops = torch.randn(2, 3, *crop_size(cfg)[::-1])
    with torch.no_grad():
        for expected, found in zip(stock._forward(crops), mipnet._forward(crops)):
            scale = max(float(expected.abs().max()), 1e-6)
            assert float((found[::2] - expected).abs().max()) <= 1e-5 * scale


def refused(*args):
    with pytest.raises(SystemExit) as info:
        run_script(tool, *args)
    return info.value.code


@pytest.mark.parametrize(
    ('args', 'message'),
    [
        (['rtmo-s_8xb32-600e_coco-640x640'], "model.type is 'BottomupPoseEstimator'"),
        (['internet_res50_4xb16-20e_interhand3d-256x256'], "'InternetHead'.* 2D poses"),
        (['dwpose_l_dis_m_coco-ubody-256x192'], "model.type is 'DWPoseDistiller'"),
        (['td-hm_mipnet-res50_8xb64-210e_coco-256x192'], 'this is a MIPNet already'),
        (['mmpose::no/such/config.py'], 'CONFIG .*config.py does not exist'),
        ([MOBILENET, '--num-instances', 0], 'num_instances must be at least 1'),
        ([MOBILENET, '--insert', 'stage9:after'], r'insert\[0\] must be .*stage9'),
        ([MOBILENET, '--load-from', 'no/w.pth'], 'load_from no/w.pth does not exist'),
    ],
)
def test_what_cannot_become_a_mipnet_is_named(args, message, tmp_path):
    out = tmp_path / 'out.py'
    assert re.match(f'error: .*{message}', refused(*args, '-o', out))
    assert not out.exists()


def test_another_config_is_not_overwritten(tmp_path, capsys):
    stock = tmp_path / 'stock.py'
    stock.write_text(f'_base_ = {str(find_config(MOBILENET))!r}\n')
    assert 'is there already' in refused(stock, '-o', stock)
    out = tmp_path / 'sub' / 'mipnet.py'
    for _ in range(2):  # the same again is no loss
        assert str(out) in run_tool(capsys, stock, '-o', out)
    for folder in (out.parent, tmp_path / 'new'):
        told = run_tool(capsys, stock, '-o', folder)
        assert str(folder / 'mipnet_stock.py') in told
    assert "_base_ = '../stock.py'" in out.read_text()
    assert Config.fromfile(out).model.head.type == 'MIPNetHead'
    out.write_text(out.read_text() + 'work_dir = "mine"\n')
    assert 'is there already' in refused(stock, '-o', out)


def test_a_config_of_read_base_is_named(tmp_path):
    stock = tmp_path / 'stock.py'
    stock.write_text('with read_base():\n    from .other import *\n')
    assert 'read_base' in refused(stock, '-o', tmp_path / 'out.py')


def test_the_places_are_listed(capsys):
    lines = run_tool(capsys, '--list')
    assert any(line.split() == ['HRNet', *MIMB_PLACES['HRNet']] for line in lines)
