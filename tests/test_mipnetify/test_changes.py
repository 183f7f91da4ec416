"""Stock configs as MIPNets: what is written, what works, what is refused."""

import copy
import re

import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmpose.evaluation.metrics import CocoMetric
from mmpose.registry import EVALUATORS

from mipnet_mmpose.mipnetify import changes, config_text, mipnet_changes, mipnetify
from mipnet_mmpose.mipnetify.places import MIMB_PLACES, parse_place

from ..conftest import (
    REPO,
    coco_dataset_config,
    estimator_config,
    load_tool,
    needs_registered,
    stock_config_file,
    train_pipeline,
)

tool = load_tool('mipnetify')
stock_configs = load_tool('stock_config_check')
DRY_RUNS = {}
CHANGED = {
    'custom_imports',
    'num_instances',
    'custom_hooks',
    'load_from',
    'model',
    'train_dataloader',
    'val_evaluator',
    'test_evaluator',
}
BODY = 'body_2d_keypoint'
HEATMAP = f'{BODY}/topdown_heatmap/coco'
RTMPOSE_M = f'{BODY}/rtmpose/coco/rtmpose-m_8xb256-420e_coco-256x192.py'
VITPOSE_B = f'{HEATMAP}/td-hm_ViTPose-base_8xb64-210e_coco-256x192.py'
HRNET_W48_UDP = f'{HEATMAP}/td-hm_hrnet-w48_udp-8xb32-210e_coco-384x288.py'
STOCK = {
    RTMPOSE_M: dict(),
    VITPOSE_B: dict(where='backbone'),
    HRNET_W48_UDP: dict(where='backbone', init='paper', load_from='w.pth'),
    f'{BODY}/topdown_regression/coco/'
    'td-reg_mobilenetv2_rle-pretrained-8xb64-210e_coco-256x192.py': dict(),
    f'{HEATMAP}/td-hm_res50_8xb64-210e_coco-256x192.py': dict(
        load_from='w.pth', freeze=True, presence=True, paste_people=True
    ),
    f'{HEATMAP}/td-hm_mspn50_8xb32-210e_coco-256x192.py': dict(num_instances=3),
    f'{HEATMAP}/td-hm_cpm_8xb64-210e_coco-256x192.py': dict(),
    f'{HEATMAP}/td-hm_hourglass52_8xb32-210e_coco-256x256.py': dict(),
    'wholebody_2d_keypoint/topdown_heatmap/coco-wholebody/'
    'td-hm_vipnas-mbv3_8xb64-210e_coco-wholebody-256x192.py': dict(),
    'face_2d_keypoint/topdown_regression/wflw/'
    'td-reg_res50_8xb64-210e_wflw-256x256.py': dict(
        insert=['layer4:before'], load_from='w.pth'
    ),
    'hand_2d_keypoint/topdown_heatmap/onehand10k/'
    'td-hm_mobilenetv2_8xb64-210e_onehand10k-256x256.py': dict(load_from='w.pth'),
    f'{BODY}/topdown_heatmap/posetrack18/'
    'td-hm_res50_8xb64-20e_posetrack18-256x192.py': dict(),
    f'{BODY}/rtmpose/body8/rtmpose-t_8xb256-420e_body8-256x192.py': dict(),
}


@pytest.fixture(autouse=True)
def dry_runs_once(monkeypatch):
    """A stock model is run once for all tests, not for each use of it."""
    for name in ('_neck_channels', '_backbone_places'):
        monkeypatch.setattr(changes, name, once(getattr(changes, name)))


def once(dry_run):
    def cached(cfg, *args):
        key = dry_run.__name__, str(cfg.model), str(args)
        if key not in DRY_RUNS:
            DRY_RUNS[key] = dry_run(cfg, *args)
        return copy.deepcopy(DRY_RUNS[key])

    return cached


def command_line(options):
    for key, value in options.items():
        yield f'--{key.replace("_", "-")}'
        if value is not True:
            yield from value if isinstance(value, list) else [str(value)]


def run_tool(capsys, *args):
    """Run the tool as a user would; what it prints, by line."""
    tool.main([str(arg) for arg in args])
    return capsys.readouterr().out.splitlines()


def unscoped(tree):
    """Without the scope that mmengine notes on what comes from 'mmpose::...'."""
    if isinstance(tree, Config):
        tree = tree.to_dict()
    if isinstance(tree, dict):
        return {k: unscoped(v) for k, v in tree.items() if k != '_scope_'}
    if isinstance(tree, (list, tuple)):
        return type(tree)(unscoped(item) for item in tree)
    return tree


@pytest.mark.parametrize('stock', STOCK, ids=lambda name: name.split('/')[-1][:-3])
def test_the_written_config_is_short_and_what_the_function_makes(
    stock, tmp_path, capsys
):
    if 'ViT' in stock:
        pytest.importorskip('mmpretrain')
    out, options = tmp_path / 'mipnet.py', dict(STOCK[stock])
    lines = run_tool(capsys, f'mmpose::{stock}', '-o', out, *command_line(options))
    assert str(out) in lines
    assert len(out.read_text().splitlines()) < 50

    cfg = Config.fromfile(tool.STOCK_CONFIGS / stock)
    before = copy.deepcopy(cfg.to_dict())
    if 'insert' in options:
        options['insert'] = [parse_place(place) for place in options['insert']]
    made = mipnetify(cfg, **options)
    assert unscoped(Config.fromfile(out)) == unscoped(made)
    assert cfg.to_dict() == before
    for key in set(made) | set(cfg):
        if key not in CHANGED:
            assert made[key] == cfg[key], key


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
    assert made.custom_imports.imports == ['mipnet_mmpose', 'my_package']
    assert made.model.neck == dict(type='MIMBNeck', in_channels=8, num_instances=3)
    assert made.model.head == dict(
        type='MIPNetHead', head=cfg.model.head, num_instances=3
    )
    assert made.train_dataloader == dict(
        batch_size=2,
        dataset=dict(
            type='MultiInstanceDataset',
            dataset=dict(cfg.train_dataloader.dataset, pipeline=[]),
            pipeline=cfg.train_dataloader.dataset.pipeline,
            num_instances=3,
        ),
    )
    for key in ('val_evaluator', 'test_evaluator'):
        metric = dict(type='MultiInstanceCocoMetric')
        assert made[key] == dict(cfg[key], **metric)
    assert made.model.backbone == cfg.model.backbone
    assert made.work_dir == 'here'


def test_levels_that_the_head_does_not_use_are_not_modulated():
    cfg = small_config()
    cfg.model.backbone = dict(type='ResNet', depth=18, out_indices=(1, 2, 3))
    cfg.model.head.in_channels = 512
    assert mipnetify(cfg).model.neck.in_channels == [None, None, 512]


def test_the_stock_neck_stays_before_the_mimbs():
    cfg = small_config()
    cfg.model.backbone.extra.stage4.multiscale_output = True
    cfg.model.neck = dict(type='FeatureMapProcessor', concat=True)
    cfg.model.head.in_channels = 8 + 16 + 32 + 64
    neck = mipnetify(cfg).model.neck
    assert neck == dict(
        type='MIMBNeck', in_channels=120, num_instances=2, neck=cfg.model.neck
    )


def test_metrics_in_a_list_are_mapped_one_by_one():
    cfg = small_config()
    cfg.val_evaluator = [cfg.val_evaluator, dict(type='AUC')]
    made = mipnetify(cfg)
    assert [m.type for m in made.val_evaluator] == [
        'MultiInstanceCocoMetric',
        'PrimaryInstanceMetric',
    ]
    assert made.val_evaluator[0].ann_file == 'val.json'
    assert made.val_evaluator[1].metric == dict(type='AUC')
    assert made.test_evaluator.type == 'MultiInstanceCocoMetric'


@pytest.mark.parametrize('form', ['one', 'list', 'alone', 'Evaluator', 'Multi', 'dump'])
def test_every_form_of_evaluator_is_built_with_metrics_for_n_poses(form, tmp_path):
    """As mmengine's runner builds it, from the config file that the tool writes."""
    if form == 'Multi':
        needs_registered(EVALUATORS, 'MultiDatasetEvaluator')
    coco, auc = dict(type='CocoMetric'), dict(type='mmpose.AUC')
    dump = dict(type='DumpResults', out_file_path='x.pkl')
    evaluator = dict(
        one=dict(metrics=coco),
        list=[dict(type=CocoMetric), auc],
        alone=dict(metrics=[coco, auc]),
        Evaluator=dict(type='Evaluator', metrics=[coco, auc]),
        Multi=dict(
            type='MultiDatasetEvaluator',
            metrics=[coco, dict(type='AUC')],
            datasets=[dict(type='CocoDataset'), dict(type='OCHumanDataset')],
        ),
        dump=[coco, auc, dump],
    )[form]
    cfg = small_config()
    cfg.val_evaluator = cfg.test_evaluator = evaluator
    made = mipnetify(cfg)
    if form != 'list':  # a class cannot stand in a config file
        cfg.dump(tmp_path / 'stock.py')
        text = config_text('./stock.py', mipnet_changes(cfg))
        (tmp_path / 'mipnet.py').write_text(text)
        written = Config.fromfile(tmp_path / 'mipnet.py')
        assert written.test_evaluator == made.test_evaluator
        assert written.val_evaluator == made.val_evaluator
    built = Runner.build_evaluator(None, copy.deepcopy(made.test_evaluator))
    kinds = [type(metric).__name__ for metric in built.metrics]
    expected = ['MultiInstanceCocoMetric', 'PrimaryInstanceMetric', 'DumpResults']
    assert kinds == expected[: dict(one=1, dump=3).get(form, 2)]
    kind = 'MultiDatasetEvaluator' if form == 'Multi' else 'Evaluator'
    assert type(built).__name__ == kind


def test_hooks_of_the_stock_config_stay():
    cfg = small_config(custom_hooks=[dict(type='SyncBuffersHook')])
    check = dict(type='MIPNetCheckHook')
    assert mipnetify(cfg).custom_hooks == [dict(type='SyncBuffersHook'), check]
    assert mipnetify(small_config()).custom_hooks == [check]


@pytest.mark.parametrize('where', ['neck', 'backbone'])
def test_trained_model_is_left_as_it_was_and_frozen(where):
    cfg = small_config()

    def folds(**options):
        made = mipnetify(cfg, where=where, **options)
        return made.model.neck if where == 'neck' else made.model.backbone

    assert 'init' not in folds() and 'init' not in folds(load_from='w', init='paper')
    assert folds(load_from='w.pth').init == 'identity'
    made = mipnetify(cfg, load_from='w.pth', freeze=True)
    assert folds(load_from='w.pth', freeze=True).bypass_primary
    freezes = dict(type='FreezeStockHook')
    assert made.custom_hooks == [dict(type='MIPNetCheckHook'), freezes]
    with pytest.raises(ValueError, match='freeze needs load_from'):
        mipnetify(small_config(), freeze=True)


def test_options_of_training():
    made = mipnetify(small_config(), presence=True, paste_people=True)
    assert made.model.head.presence == {}
    assert made.train_dataloader.dataset.paste_people == {}
    with pytest.raises(ValueError, match='presence is of λ ≥ 1.*num_instances'):
        mipnetify(small_config(), num_instances=1, presence=True)


def test_config_of_mmpose_0_is_refused_by_that_name():
    cfg = Config(dict(model=dict(type='TopDown', keypoint_head=dict()), data=dict()))
    with pytest.raises(ValueError, match=r'MMPose 0\.x'):
        mipnetify(cfg)


def test_weights_of_the_stock_backbone_are_fetched_only_without_a_checkpoint():
    cfg = small_config()
    cfg.model.backbone.init_cfg = dict(type='Pretrained', checkpoint='imagenet.pth')
    assert mipnetify(cfg).model.backbone.init_cfg.checkpoint == 'imagenet.pth'
    for where in ('neck', 'backbone'):
        made = mipnetify(cfg, where=where, load_from='coco.pth')
        backbone = made.model.backbone
        assert backbone.get('backbone', backbone).init_cfg is None
        assert made.load_from == 'coco.pth'


# --------------------------------------------------------------------- what works


SIMCC = f'{BODY}/simcc/coco/simcc_mobilenetv2_wo-deconv-8xb64-210e_coco-256x192.py'
LIGHT = [
    (next(name for name in STOCK if 'mobilenetv2_rle' in name), 'backbone'),
    (next(name for name in STOCK if 'onehand10k' in name), 'neck'),
]


@pytest.mark.slow
@pytest.mark.parametrize(('stock', 'where'), LIGHT)
def test_it_trains_and_answers_n_poses_per_box(stock, where, tmp_path):
    cfg = Config.fromfile(tool.STOCK_CONFIGS / stock)
    result = stock_configs.check(stock, cfg, where, tmp_path)
    assert result['siblings'] == 2


# of each head type: a light config of it, and what makes it lighter still
RES18 = {'model.backbone.depth': 18, 'model.head.in_channels': 512}
HEADS = {
    'HeatmapHead': (f'{HEATMAP}/td-hm_litehrnet-18_8xb64-210e_coco-256x192.py', {}),
    'ViPNASHead': (f'{HEATMAP}/td-hm_vipnas-mbv3_8xb64-210e_coco-256x192.py', {}),
    'SimCCHead': (SIMCC, {}),
    'RTMCCHead': (f'{BODY}/rtmpose/coco/rtmpose-t_8xb256-420e_coco-256x192.py', {}),
    'RTMWHead': (
        'wholebody_2d_keypoint/rtmpose/cocktail14/'
        'rtmw-m_8xb1024-270e_cocktail14-256x192.py',
        {},
    ),
    'DSNTHead': (
        f'{BODY}/integral_regression/coco/ipr_res50_dsnt-8xb64-210e_coco-256x256.py',
        RES18,
    ),
    'RegressionHead': (
        f'{BODY}/topdown_regression/coco/td-reg_res50_8xb64-210e_coco-256x192.py',
        RES18,
    ),
    'RLEHead': (next(name for name in STOCK if 'mobilenetv2_rle' in name), {}),
    'CPMHead': (
        f'{HEATMAP}/td-hm_cpm_8xb64-210e_coco-256x192.py',
        {'model.backbone.num_stages': 2, 'model.head.num_stages': 2},
    ),
    'MSPNHead': (
        f'{HEATMAP}/td-hm_mspn50_8xb32-210e_coco-256x192.py',
        {
            'model.backbone.num_blocks': [1, 1, 1, 1],
            'model.backbone.unit_channels': 64,
            'model.head.unit_channels': 64,
        },
    ),
    'VisPredictHead': (
        f'{HEATMAP}/td-hm-vis_res50_8xb64-210e_coco-aic-256x192-merge.py',
        {'model.backbone.depth': 18, 'model.head.pose_cfg.in_channels': 512},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize('head', HEADS)
def test_a_warm_start_leaves_lambda_0_as_the_stock_model(head):
    stock, lighter = HEADS[head]
    cfg = Config.fromfile(stock_config_file(stock))
    if head == 'RTMCCHead' and torch.__version__ < '2':
        pytest.skip('this torch has no synchronised batch norm on the CPU')
    cfg.merge_from_dict(lighter)
    assert cfg.model.head.type == head
    torch.manual_seed(0)
    assert stock_configs.compare_lambda0(cfg, 'neck') <= 1e-5


# ----------------------------------------------------------------- what is refused


REFUSED = {
    f'{BODY}/rtmo/coco/rtmo-s_8xb32-600e_coco-640x640.py': (
        "model.type is 'BottomupPoseEstimator': only 'TopdownPoseEstimator'"
    ),
    f'{BODY}/yoloxpose/coco/yoloxpose_tiny_4xb64-300e_coco-416.py': (
        "model.type is 'BottomupPoseEstimator': only 'TopdownPoseEstimator'"
    ),
    f'{BODY}/dekr/coco/dekr_hrnet-w32_8xb10-140e_coco-512x512.py': (
        "model.type is 'BottomupPoseEstimator': only 'TopdownPoseEstimator'"
    ),
    'body_3d_keypoint/video_pose_lift/h36m/'
    'video-pose-lift_tcn-27frm-supv_8xb128-160e_h36m.py': (
        "model.type is 'PoseLifter': only 'TopdownPoseEstimator'"
    ),
    'hand_3d_keypoint/internet/interhand3d/'
    'internet_res50_4xb16-20e_interhand3d-256x256.py': (
        "model.head.type is 'InternetHead', which gives 3D poses"
    ),
    'wholebody_2d_keypoint/dwpose/ubody/s1_dis/dwpose_l_dis_m_coco-ubody-256x192.py': (
        "model.type is 'DWPoseDistiller'.*model.student_cfg, 'configs/"
    ),
    'no/such/config.py': 'CONFIG mmpose::no/such/config.py does not exist',
}


def refused(*args):
    with pytest.raises(SystemExit) as info:
        tool.main([str(arg) for arg in args])
    return info.value.code


@pytest.mark.parametrize('stock', REFUSED, ids=lambda name: name.split('/')[-1][:-3])
def test_a_config_that_cannot_become_a_mipnet_is_refused(stock, tmp_path):
    if stock != 'no/such/config.py':
        stock_config_file(stock)
    out = tmp_path / 'out.py'
    assert re.match(
        f'mipnetify: {REFUSED[stock]}', refused(f'mmpose::{stock}', '-o', out)
    )
    assert not out.exists()


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        (
            dict(num_instances=0),
            'num_instances must be an integer of at least 1, got 0',
        ),
        (dict(insert=['layer4']), "insert: 'layer4' is not PATH:before or PATH:after"),
        (
            dict(insert=['stage9:before']),
            r"model.backbone.insert\[0\]: MobileNetV2 has no submodule 'stage9'",
        ),
        (
            dict(insert=['layer3.1.conv.1:before']),
            'model.backbone: .* the folded rows meet rows',
        ),
    ],
)
def test_a_wrong_option_is_named(options, message, tmp_path):
    stock = f'mmpose::{SIMCC}'
    options = [*command_line(options), '-o', tmp_path / 'out.py']
    assert re.match(f'mipnetify: {message}', refused(stock, *options))


def test_a_mipnet_is_not_made_again():
    with pytest.raises(ValueError, match='this is a MIPNet already'):
        mipnetify(mipnetify(small_config()))


def test_another_config_is_not_overwritten(tmp_path, capsys):
    stock = tmp_path / 'stock.py'
    stock.write_text(f"_base_ = 'mmpose::{SIMCC}'\n")
    assert 'is CONFIG itself' in refused(stock, '-o', stock)
    out = tmp_path / 'sub' / 'mipnet.py'
    for _ in range(2):  # the same again is no loss
        assert str(out) in run_tool(capsys, stock, '-o', out)
    assert "_base_ = '../stock.py'" in out.read_text()
    assert Config.fromfile(out).model.head.type == 'MIPNetHead'
    out.write_text(out.read_text() + 'work_dir = "mine"\n')
    assert 'is there already' in refused(stock, '-o', out)
    assert 'mine' in out.read_text()


def test_a_config_that_cannot_be_loaded_is_named(tmp_path):
    stock = tmp_path / 'stock.py'
    stock.write_text("_base_ = 'nothing.py'\n")
    message = refused(stock, '-o', tmp_path / 'out.py')
    assert 'stock.py cannot be loaded' in message and 'nothing.py' in message
    assert 'must end in .py' in refused(stock, '-o', tmp_path / 'out')


def test_a_config_of_the_new_style_is_refused(tmp_path):
    stock = tmp_path / 'stock.py'
    stock.write_text(
        'from mmengine.config import read_base\n\nwith read_base():\n'
        '    from .other import *\n'
    )
    assert 'read_base' in refused(stock, '-o', tmp_path / 'out.py')


def test_the_places_are_listed(capsys):
    lines = run_tool(capsys, '--list')
    assert any(line.split() == ['HRNet', *MIMB_PLACES['HRNet']] for line in lines)


def test_the_configs_shown_in_the_docs_are_what_the_tool_writes(tmp_path, capsys):
    pytest.importorskip('mmpretrain')
    text = (REPO / 'docs' / 'mipnetify.md').read_text()
    shown = re.findall(
        r'```shell\nmipnet mipnetify (mmpose::.*?)\n```\n.*?```python\n(.*?)```',
        text,
        re.S,
    )
    assert len(shown) == 3
    for number, (command, config) in enumerate(shown):
        out = tmp_path / f'{number}.py'
        run_tool(capsys, *command.replace('\\\n', ' ').split(), '-o', out)
        assert out.read_text() == config
        assert len(config.splitlines()) <= 42
