"""The same figures again: of a seed, of bfloat16, of batches, workers and orders."""

import json

import numpy as np
import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner, set_random_seed
from mmpose.models.losses import KeypointMSELoss
from mmpose.registry import DATASETS, METRICS, MODELS

from mipnet_mmpose import MIMB, MultiInstanceLoss

from .conftest import (
    CODEC,
    coco_dataset_config,
    estimator_config,
    load_tool,
    needs_torch_2,
    person,
    train_pipeline,
    val_pipeline,
)
from .test_evaluation.test_multi_instance_coco_metric import METAINFO, sample


@pytest.fixture
def folder(coco_folder):
    rng = np.random.default_rng(0)
    return coco_folder(
        [
            person(i, i // 3, *rng.uniform(0, 70, 2), 60, 50, area=1e5)
            for i in range(1, 8)
        ]
    )


def losses_of_a_training(folder, iterations=50):
    set_random_seed(0)
    dataset = coco_dataset_config(folder, train_pipeline())
    loader = dict(
        dataset=dict(type='MultiInstanceDataset', dataset=dataset),
        batch_size=2,
        num_workers=2,
        sampler=dict(type='InfiniteSampler', shuffle=True, seed=0),
    )
    loader = Runner.build_dataloader(loader, seed=0)
    model = MODELS.build(estimator_config())
    optimizer = OptimWrapper(torch.optim.Adam(model.parameters(), lr=1e-3))
    model.train()
    return [
        model.train_step(batch, optimizer)['loss'].item()
        for batch, _ in zip(loader, range(iterations))
    ]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_losses(folder):
    first, second = losses_of_a_training(folder), losses_of_a_training(folder)
    assert first == second and len(set(first)) == 50


@pytest.mark.slow
def test_bfloat16_learns_what_float32_learns(folder):
    # small, for a CPU without bfloat16 is slow at it
    codec = dict(CODEC, input_size=(64, 64), heatmap_size=(16, 16))
    dataset = coco_dataset_config(folder, train_pipeline(codec, augment=False))
    dataset = DATASETS.build(dict(type='MultiInstanceDataset', dataset=dataset))
    batch = pseudo_collate([dataset[i] for i in range(2)])
    learnt = {}
    for dtype in (torch.float32, torch.bfloat16):
        set_random_seed(0)
        model = MODELS.build(estimator_config('neck'))
        optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
        data = model.data_preprocessor(batch, True)
        losses = []
        for _ in range(15):
            with torch.autocast('cpu', torch.bfloat16, enabled=dtype == torch.bfloat16):
                loss = model(**data, mode='loss')['loss_kpt']
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        learnt[dtype] = np.array(losses)
        assert learnt[dtype][-1] < learnt[dtype][0] / 2
    float32, bfloat16 = learnt.values()
    np.testing.assert_allclose(bfloat16, float32, rtol=0.1)
    assert not np.array_equal(bfloat16, float32)


@needs_torch_2
@pytest.mark.parametrize('training', [True, False])
@pytest.mark.parametrize('shape', [(4, 6, 3, 2), (4, 5, 6), (4, 6)])
def test_gradients_of_the_block(shape, training):
    torch.manual_seed(0)
    block = MIMB(6, num_instances=3, reduction=2).double().train(training)
    for parameter in block.parameters():
        torch.nn.init.normal_(parameter)
    code = torch.rand(4, 3, dtype=torch.float64, requires_grad=True)
    x = torch.randn(shape, dtype=torch.float64, requires_grad=True)

    def run(x, code, *parameters):
        return torch.func.functional_call(
            block, dict(zip(names, parameters)), (x, code)
        )

    names, parameters = zip(*block.named_parameters())
    assert torch.autograd.gradcheck(run, (x, code, *parameters))


def test_gradients_of_the_loss():
    torch.manual_seed(0)
    stock = KeypointMSELoss(use_target_weight=True)
    loss = MultiInstanceLoss(stock, num_instances=2, instance_weights=[1, 0.5])
    output = torch.rand(4, 3, 5, 4, dtype=torch.float64, requires_grad=True)
    target, weights = torch.rand(4, 3, 5, 4).double(), torch.rand(4, 3).double()
    assert torch.autograd.gradcheck(lambda x: loss(x, target, weights), output)


def test_evaluation_knows_no_order():
    """Predictions in any order and any batches, many of equal score."""
    rng = np.random.default_rng(0)
    people = [person(i, i // 4, 10, 10, 60, 80, seed=i % 7) for i in range(40)]
    samples = [
        sample(ann, ann['id'], rng.uniform(10, 80, (2, 17, 2)).round(-1), [0.5, 0.5])
        for ann in people
    ]

    def evaluate(order, batch_size):
        metric = METRICS.build(dict(type='MultiInstanceCocoMetric', score_decay=1.0))
        metric.dataset_meta = dict(METAINFO)
        for start in range(0, len(order), batch_size):
            chosen = order[start : start + batch_size]
            metric.process([], [samples[i] for i in chosen])
        return metric.evaluate(len(samples))

    expected = evaluate(np.arange(40), 40)
    assert any(value > 0 for value in expected.values())
    for batch_size in (1, 7):
        assert evaluate(rng.permutation(40), batch_size) == expected


@pytest.mark.slow
def test_evaluation_does_not_depend_on_batches_and_workers(folder):
    """Of a network; its sums differ in the last digits with the size of a batch."""
    torch.manual_seed(0)
    model = MODELS.build(estimator_config()).eval()
    found = []
    for batch_size, workers in ((1, 0), (3, 2), (7, 1)):
        loader = dict(
            dataset=coco_dataset_config(folder, val_pipeline(), test_mode=True),
            batch_size=batch_size,
            num_workers=workers,
            sampler=dict(type='DefaultSampler', shuffle=False),
        )
        metric = METRICS.build(dict(type='MultiInstanceCocoMetric'))
        metric.dataset_meta = dict(METAINFO)
        with torch.no_grad():
            for batch in Runner.build_dataloader(loader):
                samples = [s.to_dict() for s in model.test_step(batch)]
                metric.process(batch, samples)
        found.append(metric.evaluate(7))
    for metrics in found[1:]:
        assert metrics == pytest.approx(found[0], abs=1e-6)
    assert found[0]['coco/AR'] > 0


@pytest.mark.slow
def test_a_killed_training_ends_as_if_it_had_not_been(monkeypatch, capsys):
    tool = load_tool('interrupt_training')
    arguments = ['--kills', '1', '--epochs', '2', '--workers', '1']
    monkeypatch.setattr('sys.argv', ['interrupt_training', *arguments])
    tool.main()
    assert '1 kills' in capsys.readouterr().out


def test_a_file_that_could_not_be_written_leaves_the_old_one(tmp_path):
    from mmengine.fileio import LocalBackend

    path = tmp_path / 'epoch_1.pth'
    LocalBackend().put(b'whole', path)
    with pytest.raises(TypeError):
        LocalBackend().put('not bytes', path)
    assert path.read_bytes() == b'whole'


def test_a_line_that_was_cut_off_is_removed(tmp_path):
    read_lines = load_tool('stock_configs').read_lines
    path = tmp_path / 'runs.jsonl'
    assert read_lines(path) == []
    path.write_text(json.dumps(dict(run='a')) + '\n' + '{"run": "b", "AP')
    assert read_lines(path) == [dict(run='a')]
    with path.open('a') as stream:
        stream.write(json.dumps(dict(run='c')) + '\n')
    assert [line['run'] for line in read_lines(path)] == ['a', 'c']
