"""The parts inside MMPose's own estimator."""

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.runner.checkpoint import load_state_dict
from mmengine.structures import InstanceData, PixelData
from mmpose.registry import DATASETS, MODELS
from mmpose.structures import PoseDataSample

from mipnet_mmpose import MIMB, MIPNetHead, MultiInstanceLoss, use_lambdas
from mipnet_mmpose.models.heads.instance_targets import (
    assign_unanswered,
    unfold_targets,
)

from ..conftest import (
    coco_dataset_config,
    estimator_config,
    head_config,
    hrnet_config,
    person,
    train_pipeline,
    val_pipeline,
)


@pytest.fixture
def pair_folder(coco_folder):
    """Two overlapping persons, and one alone."""
    return coco_folder(
        [person(1, 1, 20, 10, 60, 90), person(2, 1, 40, 15, 60, 90)]
        + [person(3, 2, 30, 20, 70, 80)]
    )


def test_batch(folder):
    cfg = coco_dataset_config(folder, val_pipeline(), test_mode=True)
    dataset = DATASETS.build(cfg)
    return pseudo_collate([dataset[i] for i in range(len(dataset))])


test_batch.__test__ = False


def train_batch(folder, num_instances):
    cfg = coco_dataset_config(folder, train_pipeline(augment=False))
    if num_instances:
        fields = dict(dataset=cfg, num_instances=num_instances)
        cfg = dict(type='MultiInstanceDataset', **fields)
    dataset = DATASETS.build(cfg)
    return pseudo_collate([dataset[i] for i in range(len(dataset))])


def build(seed=0, **kwargs):
    torch.manual_seed(seed)
    model = MODELS.build(estimator_config(**kwargs))
    for module in model.modules():
        if isinstance(module, MIMB) and module.init == 'paper':
            for parameter in module.parameters():
                torch.nn.init.normal_(parameter)
        elif isinstance(module, torch.nn.Conv2d):
            torch.nn.init.kaiming_normal_(module.weight)
    return model


def predict(model, folder):
    with torch.no_grad():
        return model.eval().test_step(test_batch(folder))


@pytest.mark.parametrize('where', ['backbone', 'neck'])
@pytest.mark.parametrize('num_instances', [1, 2, 3])
def test_every_box_gets_n_poses(pair_folder, where, num_instances):
    model = build(where=where, num_instances=num_instances)
    for sample in predict(model, pair_folder):
        poses = sample.pred_instances
        assert poses.keypoints.shape == (num_instances, 17, 2)
        assert poses.keypoint_scores.shape == (num_instances, 17)
        assert poses.lambdas.tolist() == list(range(num_instances))
        expected = sample.gt_instances.bboxes.repeat(num_instances, axis=0)
        np.testing.assert_array_equal(poses.bboxes, expected)
        assert poses.bbox_scores.shape == (num_instances,)


@pytest.mark.parametrize('where', ['backbone', 'neck'])
@pytest.mark.parametrize('flip_test', [False, True])
@pytest.mark.parametrize('num_instances', [1, 2])
def test_lambda_0_at_identity_is_the_stock_model_of_the_checkpoint(
    pair_folder, where, flip_test, num_instances
):
    test_cfg = dict(flip_test=flip_test, flip_mode='heatmap', output_heatmaps=True)
    stock = build(where=None, **test_cfg)
    cfg = dict(where=where, num_instances=num_instances, init='identity', **test_cfg)
    model = build(seed=1, **cfg)
    load_state_dict(model, stock.state_dict())
    # of one instance to the last bit; twice the batch may be rounded differently
    close = dict.fromkeys(('rtol', 'atol'), 0 if num_instances == 1 else 1e-5)
    for ours, theirs in zip(predict(model, pair_folder), predict(stock, pair_folder)):
        heatmaps = (sample.pred_fields.heatmaps[:17] for sample in (ours, theirs))
        torch.testing.assert_close(*heatmaps, **close)
        for key in ('keypoints', 'keypoint_scores', 'bboxes'):
            first, expected = (s.pred_instances[key][:1] for s in (ours, theirs))
            np.testing.assert_allclose(first, expected, **close)


def test_stock_checkpoint_fills_a_loss_with_weights():
    """The flow of RLE, which the head of a MIPNet holds inside its loss."""
    head = dict(
        type='RLEHead',
        in_channels=8,
        num_joints=17,
        loss=dict(type='RLELoss', use_target_weight=True),
        decoder=dict(type='RegressionLabel', input_size=(96, 128)),
    )
    stock = MODELS.build(head)
    model = MODELS.build(dict(type='MIPNetHead', head=head))
    report = model.load_state_dict(stock.state_dict(), strict=False)
    assert not report.unexpected_keys and not report.missing_keys
    weights = dict(model.head.loss_module.loss.named_parameters())
    assert weights
    for name, value in stock.loss_module.named_parameters():
        assert torch.equal(weights[name], value)


def test_loss_is_that_of_the_stock_head_row_by_row(pair_folder):
    model = build().eval()  # batch norm would mix the rows
    data = model.data_preprocessor(train_batch(pair_folder, 2), True)
    losses = model.loss(data['inputs'], data['data_samples'])
    rows = []
    for i in range(2):
        with use_lambdas(model, [i]):
            heatmaps = model(data['inputs'], None)
        for heatmap, sample in zip(heatmaps, data['data_samples']):
            target = sample.gt_fields.heatmaps[17 * i : 17 * (i + 1)]
            weight = sample.gt_instance_labels.keypoint_weights[i]
            square = (heatmap - target) ** 2 * weight[:, None, None]
            rows.append(square.mean())
    torch.testing.assert_close(losses['loss_kpt'], torch.stack(rows).mean())


@pytest.mark.parametrize('where', ['backbone', 'neck'])
@pytest.mark.parametrize('num_instances', [1, 2])
def test_every_mimb_weight_gets_a_gradient(pair_folder, where, num_instances):
    model = build(where=where, num_instances=num_instances)
    data = model.data_preprocessor(train_batch(pair_folder, num_instances), True)
    with use_lambdas(model, [0]):  # those of inference are none of training
        losses, _ = model.parse_losses(model(**data, mode='loss'))
    losses.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.isfinite().all(), name


def test_a_head_without_a_decoder_of_its_own_learns(pair_folder):
    cfg = estimator_config('neck')
    cfg['head']['head'] = dict(type='VisPredictHead', pose_cfg=head_config())
    model = MODELS.build(cfg).train()
    batch = model.data_preprocessor(train_batch(pair_folder, 2), True)
    losses = model.loss(**batch)
    assert {'loss_kpt', 'loss_vis'} <= set(losses)
    assert all(np.isfinite(value.item()) for value in losses.values())


def test_autocast_trains_and_predicts(pair_folder):
    model = build()
    with torch.autocast('cpu', torch.bfloat16):
        data = model.data_preprocessor(train_batch(pair_folder, 2), True)
        loss = model(**data, mode='loss')['loss_kpt']
        loss.backward()
        assert loss.isfinite()
        assert model.eval()(data['inputs'], None).shape == (6, 17, 32, 24)
        # features of a layer that autocast keeps in float32, as a LayerNorm on CUDA
        model.extract_feat = lambda x: (torch.rand(6, 8, 32, 24),)
        assert len(model(**data, mode='predict')) == 3


@pytest.mark.parametrize('where', ['backbone', 'neck'])
@pytest.mark.parametrize('lambdas', [[0, 0.25, 0.5, 1], [1, 0.5]])
def test_real_lambdas(pair_folder, where, lambdas):
    """Also inside each other; afterwards the model answers 0 ... N - 1 again."""
    model = build(where=where)
    with use_lambdas(model, [0.5]):
        with use_lambdas(model, lambdas):
            chosen = predict(model, pair_folder)
        assert predict(model, pair_folder)[0].pred_instances.lambdas.tolist() == [0.5]
    default = predict(model, pair_folder)
    for b, c in zip(chosen, default):
        assert b.pred_instances.lambdas.tolist() == lambdas
        assert c.pred_instances.lambdas.tolist() == [0, 1]
        found, expected = (sample.pred_instances.keypoints for sample in (b, c))
        for i, value in enumerate(lambdas):
            if value in (0, 1):
                np.testing.assert_allclose(found[i], expected[value], atol=1e-3)


def test_a_compiled_head_works(pair_folder):
    model, stock = build(), build()
    model.head = torch.compile(model.head, backend='eager')
    for pair in zip(predict(model, pair_folder), predict(stock, pair_folder)):
        keypoints = (sample.pred_instances.keypoints for sample in pair)
        np.testing.assert_allclose(*keypoints, atol=1e-3)


def test_heatmaps_and_selected_keypoints(pair_folder):
    model = build(output_heatmaps=True, output_keypoint_indices=[0, 5, 6])
    plain = predict(build(output_heatmaps=True), pair_folder)
    for sample, full in zip(predict(model, pair_folder), plain):
        heatmaps = full.pred_fields.heatmaps.unflatten(0, (2, 17))[:, [0, 5, 6]]
        assert torch.equal(sample.pred_fields.heatmaps, heatmaps.flatten(0, 1))
        keypoints = full.pred_instances.keypoints[:, [0, 5, 6]]
        np.testing.assert_array_equal(sample.pred_instances.keypoints, keypoints)


NECK = dict(type='MIMBNeck', in_channels=8)
IN_BACKBONE = dict(type='MIMBBackbone', backbone=hrnet_config())


@pytest.mark.parametrize(
    ('in_data', 'parts', 'message'),
    [
        (2, dict(), 'num_instances=2 differs from num_instances=1'),
        (3, dict(neck=NECK), 'dataset.num_instances=3 differs from .*=2'),
        (2, dict(neck=NECK, backbone=IN_BACKBONE), 'num_instances=2 differs .*=4'),
        (None, dict(neck=NECK), "type='MultiInstanceDataset'"),
    ],
)
def test_parts_that_do_not_fit_stop_the_batch(pair_folder, in_data, parts, message):
    head = dict(type='MIPNetHead', head=head_config())
    cfg = dict(type='TopdownPoseEstimator', backbone=hrnet_config(), head=head)
    cfg['data_preprocessor'] = dict(type='PoseDataPreprocessor')
    model = MODELS.build(dict(cfg, **parts))
    data = model.data_preprocessor(train_batch(pair_folder, in_data), True)
    with pytest.raises(ValueError, match=message):
        model(**data, mode='loss')


def test_lambdas_that_a_model_cannot_answer_are_refused(pair_folder):
    model = build()
    with pytest.raises(ValueError, match=r'lambda = 1.5 is outside 0 \.\.\. 1'):
        use_lambdas(model, [0, 1.5]).__enter__()
    assert predict(model, pair_folder)[0].pred_instances.lambdas.tolist() == [0, 1]
    with pytest.raises(ValueError, match='no MIMB'):
        use_lambdas(torch.nn.Linear(1, 1), [0]).__enter__()


def test_every_loss_of_a_head_is_per_instance():
    """One per stage, of a head inside a head, and losses that are not in the config."""
    mse = dict(type='KeypointMSELoss')
    cpm = dict(type='CPMHead', in_channels=8, out_channels=17, num_stages=2)
    losses = MIPNetHead(dict(cpm, loss=[mse, mse])).head.loss_module
    assert [type(loss) for loss in losses] == [MultiInstanceLoss] * 2
    pose = dict(type='RTMCCHead', in_channels=8, out_channels=17, input_size=(96, 128))
    pose.update(in_featuremap_size=(3, 4), simcc_split_ratio=2.0)
    head = MIPNetHead(dict(type='VisPredictHead', pose_cfg=pose)).head
    for loss in (head.loss_module, head.pose_head.loss_module):
        assert isinstance(loss, MultiInstanceLoss)
    stages = dict(type='CombinedLoss', losses=dict(heatmap=mse))
    head = MIPNetHead(dict(cpm, loss=stages)).head
    assert isinstance(head.loss_module.heatmap, MultiInstanceLoss)


def test_unanswered_rule_gives_lambda_1_whom_lambda_0_does_not_answer():
    """Three crops: λ = 0 answers person 0, person 1, and one person alone."""
    samples = []
    for persons in ([0, 1], [0, 1], [0, 0]):
        heatmaps = torch.zeros(2, 3, 8, 8)
        for row, who in enumerate(persons):
            heatmaps[row, :, 1, 1 + 4 * who] = 1
        weights = torch.ones(2, 3)
        weights[:, 2] = 0  # labelled of nobody
        sample = PoseDataSample(
            gt_fields=PixelData(heatmaps=heatmaps.flatten(0, 1)),
            gt_instance_labels=InstanceData(keypoint_weights=weights),
            gt_instances=InstanceData(target_instances=np.array([persons])),
        )
        samples.append(unfold_targets(sample, 2))
    answers = torch.full((3, 3, 8, 8), 0.01)
    answers[[0, 1, 2], :2, 1] = 0.0
    for crop, column in enumerate([1, 5, 1]):
        answers[crop, :2, 1, column] = 0.5
    answers[0, 2, 1, 5] = 9  # of the keypoint that is not labelled
    present = np.array([[1, 1], [1, 1], [1, 0]], bool)
    rows = assign_unanswered(answers, samples, present)
    assert [int(r[1].gt_fields.heatmaps[0, 1].argmax()) for r in rows[:2]] == [5, 1]
    sums = [
        [float(r.gt_instance_labels.keypoint_weights.sum()) for r in x] for x in rows
    ]
    assert sums == [[2, 2], [2, 2], [2, 0]]
    for first, _ in rows:
        assert first.gt_fields.heatmaps[0, 1, 1] == 1


def test_unanswered_rule_trains(pair_folder):
    cfg = estimator_config('backbone')
    cfg['head']['instance_rule'] = 'unanswered'
    model = MODELS.build(cfg).train()
    data = model.data_preprocessor(train_batch(pair_folder, 2), True)
    assert model(**data, mode='loss')['loss_kpt'].isfinite()
    with pytest.raises(ValueError, match='instance_rule'):
        MIPNetHead(head_config(), instance_rule='other')
