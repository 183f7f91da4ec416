"""The same figures again: of a seed, of a killed run, of batches and orders."""

import os
import signal
import time

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner
from mmpose.registry import METRICS

from .conftest import (
    coco_dataset_config,
    estimator_config,
    person,
    train_pipeline,
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


def training_config(folder, work_dir):
    """Three epochs, people in any order, from worker processes."""
    dataset = coco_dataset_config(folder, train_pipeline())
    return Config(
        dict(
            default_scope='mmpose',
            model=estimator_config(),
            work_dir=str(folder / work_dir),
            train_dataloader=dict(
                dataset=dict(type='MultiInstanceDataset', dataset=dataset),
                batch_size=2,
                num_workers=1,
                sampler=dict(type='DefaultSampler', shuffle=True),
            ),
            train_cfg=dict(by_epoch=True, max_epochs=3),
            optim_wrapper=dict(optimizer=dict(type='Adam', lr=1e-3)),
            default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1)),
            randomness=dict(seed=0),
            resume=True,
        )
    )


def fork_training(folder, work_dir):
    """The id of a process that trains; what is imported here is there too."""
    child = os.fork()
    if child:
        return child
    status = 1
    try:
        Runner.from_cfg(training_config(folder, work_dir)).train()
        status = 0
    finally:
        os._exit(status)


def differences(found, expected, name=''):
    """Names of what is not the same, bit for bit."""
    if isinstance(expected, (dict, list, tuple)):
        keys = expected.keys() if isinstance(expected, dict) else range(len(expected))
        assert len(found) == len(expected), name
        pairs = [(found[key], expected[key], f'{name}.{key}') for key in keys]
        return [d for pair in pairs for d in differences(*pair)]
    if isinstance(expected, torch.Tensor):
        return [] if torch.equal(found, expected) else [name]
    return [] if found == expected else [name]


@pytest.mark.slow
def test_a_killed_training_ends_as_if_it_had_not_been(folder):
    _, status = os.waitpid(fork_training(folder, 'whole'), 0)
    assert status == 0
    child = fork_training(folder, 'killed')
    while not (folder / 'killed' / 'last_checkpoint').is_file():
        assert os.waitpid(child, os.WNOHANG) == (0, 0)
        time.sleep(0.01)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert not (folder / 'killed' / 'epoch_3.pth').exists()
    _, status = os.waitpid(fork_training(folder, 'killed'), 0)
    assert status == 0
    expected, found = (
        torch.load(folder / name / 'epoch_3.pth', weights_only=False)
        for name in ('whole', 'killed')
    )
    for part in ('state_dict', 'optimizer'):
        assert differences(found[part], expected[part], part) == []


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
