"""MMPose's dist_train.sh and dist_test.sh with processes on the CPU."""

import json
import os
import runpy
import socket
import subprocess
import sys
import time
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.registry import init_default_scope
from mmpose.registry import DATASETS, MODELS
from torch import nn

from .conftest import (
    REPO,
    coco_dataset_config,
    estimator_config,
    person,
    train_pipeline,
    val_pipeline,
)
from .test_engine.test_freeze_stock_hook import assert_stock_layers_are

TOOLS = Path(find_spec('mmpose').origin).parent / '.mim' / 'tools'
PEOPLE = 7  # what 2, 3 and 4 do not divide


@pytest.fixture
def folder(coco_folder):
    """A config and images of noise; the areas make a pose of noise right at times."""
    rng = np.random.default_rng(0)
    people = []
    for i in range(1, PEOPLE + 1):
        (x, y), area = rng.uniform(0, 70, 2), rng.uniform(1e5, 3e6)
        mask = [[x, y, x + 60, y, x + 60, y + 50, x, y + 50]]
        people.append(person(i, i // 3, x, y, 60, 50, area=area, segmentation=mask))
    folder = coco_folder(people)
    train = coco_dataset_config(folder, train_pipeline())
    test = coco_dataset_config(folder, val_pipeline(), test_mode=True)
    wrapped = dict(type='MultiInstanceDataset', dataset=train)
    loader = dict(batch_size=1, num_workers=0)
    shuffle = dict(type='DefaultSampler', shuffle=True)
    in_order = dict(type='DefaultSampler', shuffle=False, round_up=False)
    evaluator = dict(type='MultiInstanceCocoMetric', per_lambda=True)
    cfg = dict(
        default_scope='mmpose',
        custom_imports=dict(imports=['mipnet_mmpose', 'cpu_processes']),
        model=estimator_config('backbone', 2),
        train_dataloader=dict(loader, dataset=wrapped, sampler=shuffle),
        test_dataloader=dict(loader, dataset=test, sampler=in_order),
        test_evaluator=dict(evaluator, ann_file=f'{folder}/annotations.json'),
        optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.01, momentum=0.9)),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        test_cfg=dict(),
        randomness=dict(seed=0),
        default_hooks=dict(checkpoint=dict(type='CheckpointHook', interval=1)),
        env_cfg=dict(dist_cfg=dict(backend='gloo')),
        model_wrapper_cfg=dict(type='MMDistributedDataParallel', device_ids=None),
        auto_scale_lr=dict(base_batch_size=2),
    )
    Config(cfg).dump(folder / 'config.py')
    # mmengine's launcher chooses a GPU before anything else. At exit it leaves the
    # process group open, and so does DistributedDataParallel where it is closed: a
    # thread of gloo that is about to free its last tensor then needs the interpreter,
    # and aborts the process where that has ended (see docs/several_gpus.md)
    (folder / 'cpu_processes.py').write_text(
        'import atexit\n'
        'import time\n'
        'import torch\n'
        'torch.cuda.set_device = lambda device: None\n'
        'atexit.register(time.sleep, 1)\n'
    )
    return folder


def start(folder, *command):
    """A process of a command; its output can be read."""
    paths = [str(REPO), str(folder), os.environ.get('PYTHONPATH', '')]
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(paths), OMP_NUM_THREADS='1')
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        env['PORT'] = str(free.getsockname()[1])
    env['PATH'] = os.pathsep.join([str(Path(sys.executable).parent), env['PATH']])
    return subprocess.Popen(
        [str(part) for part in command],
        cwd=folder,
        env=dict(env, CUDA_VISIBLE_DEVICES=''),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def launch(folder, *command):
    """What a command prints; it must end well."""
    process = start(folder, *command)
    text, _ = process.communicate()
    assert process.returncode == 0, text[-4000:]
    return text


def run_here(folder, tool, *args):
    """A tool of MMPose's in this process, which need not import all again."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as in the processes of `start`
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        patch.setenv('LOCAL_RANK', '0')  # which the tool sets
        patch.setattr(torch.cuda, 'set_device', torch.cuda.set_device)  # and the config
        patch.setattr(sys, 'argv', [tool, *map(str, args)])
        runpy.run_path(str(TOOLS / tool), run_name='__main__')
    torch.set_num_threads(threads)


@pytest.mark.slow
def test_dist_train_and_dist_test(folder):
    """Of MIMBs alone, with people pasted; test_processes has 4 processes."""
    stock = MODELS.build(estimator_config(None))
    torch.save(dict(state_dict=stock.state_dict()), folder / 'stock.pth')
    with open(folder / 'config.py', 'a') as config:
        config.write("load_from = 'stock.pth'\n")
        config.write("custom_hooks = [dict(type='FreezeStockHook')]\n")
        config.write("train_dataloader['dataset']['paste_people'] = dict(prob=1)\n")
    dist_train = ['bash', TOOLS / 'dist_train.sh', 'config.py', 2, '--work-dir', 'out']
    assert 'Saving checkpoint at 1 epochs' in launch(folder, *dist_train)
    checkpoint = folder / 'out' / 'epoch_1.pth'
    trained = torch.load(checkpoint, weights_only=False)['state_dict']
    assert_stock_layers_are(stock, trained)

    args = [checkpoint, '--work-dir', 'out', '--out']
    run_here(folder, 'test.py', 'config.py', *args, 'one.json')
    dist_test = ['bash', TOOLS / 'dist_test.sh', 'config.py', args[0], 2, *args[1:]]
    launch(folder, *dist_test, 'two.json')
    figures = []
    for name in ('one.json', 'two.json'):
        found = json.loads((folder / name).read_text())
        figures.append({k: v for k, v in found.items() if k.startswith('coco/')})
    assert figures[0] == figures[1]
    assert 0 < figures[0]['coco/AR'] < 1 and 'coco/lambda1/AP' in figures[0]


@pytest.mark.slow
def test_a_killed_training_ends_as_if_it_had_not_been(folder):
    args = ['config.py', '--resume', '--cfg-options', 'train_cfg.max_epochs=3']
    args += ['train_dataloader.num_workers=1', '--work-dir']
    run_here(folder, 'train.py', *args, 'whole')
    with start(folder, sys.executable, TOOLS / 'train.py', *args, 'killed') as process:
        while not (folder / 'killed' / 'last_checkpoint').is_file():
            assert process.poll() is None, process.stdout.read()
            time.sleep(0.01)
        process.kill()
    assert not (folder / 'killed' / 'epoch_3.pth').exists()
    run_here(folder, 'train.py', *args, 'killed')
    logs = ''.join(log.read_text() for log in folder.glob('killed/*/*.log'))
    assert 'resumed epoch' in logs
    expected, found = (
        torch.load(folder / name / 'epoch_3.pth', weights_only=False)
        for name in ('whole', 'killed')
    )
    for key, value in expected['state_dict'].items():
        assert torch.equal(found['state_dict'][key], value), key


class Loss(nn.Module):
    """The training loss as a module that gives a tensor."""

    def __init__(self):
        super().__init__()
        self.model = MODELS.build(estimator_config('backbone', 2))

    def forward(self, batch):
        return self.model.parse_losses(self.model(**batch, mode='loss'))[0]


def gradients(folder, samples, rank=0, processes=1):
    """Of the mean loss over all processes, each with its part of the samples."""
    torch.manual_seed(0)
    loss = Loss()
    loss.train()
    for module in loss.modules():
        if isinstance(module, nn.modules.batchnorm.BatchNorm2d):
            module.eval()
    part = len(samples) // processes
    batch = pseudo_collate(samples[rank * part : (rank + 1) * part])
    batch = loss.model.data_preprocessor(batch, True)
    if processes > 1:
        group = dict(rank=rank, world_size=processes, timeout=timedelta(minutes=5))
        torch.distributed.init_process_group('gloo', f'file://{folder}/store', **group)
        wrapped = nn.parallel.DistributedDataParallel(loss)  # it must outlive the call
        wrapped(batch).backward()
        torch.distributed.destroy_process_group()
    else:
        loss(batch).backward()
    return {name: weight.grad for name, weight in loss.named_parameters()}


def other_rank(_, folder, samples):
    init_default_scope('mmpose')
    gradients(folder, samples, rank=1, processes=2)


@pytest.mark.slow
def test_gradients_do_not_depend_on_the_number_of_processes(folder):
    dataset = Config.fromfile(folder / 'config.py', import_custom_modules=False)
    dataset = DATASETS.build(dataset.train_dataloader.dataset)
    np.random.seed(0)
    samples = [dataset[i] for i in range(4)]
    other = torch.multiprocessing.spawn(other_rank, (folder, samples), join=False)
    found = gradients(folder, samples, processes=2)
    other.join()
    expected = gradients(folder, samples)
    assert found.keys() == expected.keys()
    largest = max(gradient.abs().max().item() for gradient in expected.values())
    close = dict(rtol=1e-4, atol=1e-6 * largest)
    for name, gradient in expected.items():
        torch.testing.assert_close(found[name], gradient, **close)
