"""MMEngine's checkpoints load by torch's safe default; nothing else does."""

import pickle

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.model import BaseModel
from mmengine.runner import Runner
from mmengine.utils import digit_version

needs_safe_globals = pytest.mark.skipif(
    digit_version(torch.__version__) < digit_version('2.6'),
    reason='this torch loads with weights_only=False by default',
)


class Line(BaseModel):
    def __init__(self):
        super().__init__()
        self.slope = torch.nn.Parameter(torch.ones(1))

    def forward(self, x, mode='tensor'):
        return dict(loss=(self.slope * x - 3 * x).square().mean())


class Call:
    """Pickles as a call of ``function`` with ``args``."""

    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


def test_mmengine_checkpoint_loads_by_default(tmp_path):
    """What its own runner writes: weights, optimizer, schedulers, log."""
    batches = [dict(x=torch.tensor([float(i)])) for i in range(1, 5)]
    Runner(
        model=Line(),
        work_dir=str(tmp_path),
        train_dataloader=torch.utils.data.DataLoader(batches),
        train_cfg=dict(by_epoch=True, max_epochs=1),
        optim_wrapper=dict(optimizer=dict(type='Adam', lr=0.1)),
        param_scheduler=[dict(type='LinearLR', start_factor=0.1, end=2)],
        default_hooks=dict(logger=dict(type='LoggerHook', interval=1)),
        log_level='ERROR',
        default_scope='mmengine',
        experiment_name=tmp_path.name,
    ).train()
    file = tmp_path / 'epoch_1.pth'
    loaded, trusted = torch.load(file), torch.load(file, weights_only=False)
    assert {'message_hub', 'optimizer', 'param_schedulers'} <= loaded.keys()
    assert loaded['param_schedulers'] == trusted['param_schedulers']
    assert torch.equal(loaded['state_dict']['slope'], trusted['state_dict']['slope'])
    loss, expected = (
        part['message_hub']['log_scalars']['train/loss'] for part in (loaded, trusted)
    )
    np.testing.assert_array_equal(loss.data, expected.data)
    assert loss.statistics('mean', 2) == expected.statistics('mean', 2)


def test_a_dataset_without_sigmas_is_loaded_with_its_checkpoint(tmp_path):
    """Saved as ``dataset_meta`` by every training on MMPose's hand datasets."""
    meta = dict(sigmas=np.array([], dtype=np.float32), num_keypoints=21)
    torch.save(dict(meta=meta), tmp_path / 'hand.pth')
    loaded = torch.load(tmp_path / 'hand.pth')['meta']
    assert loaded['sigmas'].shape == (0,) and loaded['sigmas'].dtype == np.float32


@needs_safe_globals
@pytest.mark.parametrize('module', ['numpy.core', 'numpy._core'])
def test_both_numpy_generations_can_have_written_the_file(tmp_path, module):
    path = tmp_path / 'array.pth'
    # The old container has no checksums: the module's name can be replaced.
    torch.save(
        dict(array=np.arange(3.0), number=np.float32(2)),
        path,
        _use_new_zipfile_serialization=False,
    )
    here = np.array(0).__reduce__()[0].__module__.encode()
    stored = path.read_bytes()
    assert stored.count(here) == 2
    path.write_bytes(stored.replace(here, f'{module}.multiarray'.encode()))
    answer = torch.load(path)
    np.testing.assert_array_equal(answer['array'], [0, 1, 2])
    assert answer['number'] == 2


@needs_safe_globals
@pytest.mark.parametrize(
    'payload',
    [
        Call(getattr, Call(getattr, HistoryBuffer, 'mean'), '__globals__'),
        Call(getattr, HistoryBuffer, '__init__'),
        Call(getattr, HistoryBuffer, 'register_statistics'),
        Call(getattr, HistoryBuffer([1], [1]), '__class__'),
        Call(getattr, 'text', 'format'),
        Call(getattr, np.ndarray, 'tofile'),
    ],
)
def test_getattr_reaches_nothing_but_the_statistics(tmp_path, payload):
    path = tmp_path / 'evil.pth'
    torch.save(dict(state_dict={}, payload=payload), path)
    torch.load(path, weights_only=False)  # the attack would work
    with pytest.raises(pickle.UnpicklingError, match='refused getattr'):
        torch.load(path)


@needs_safe_globals
def test_object_arrays_stay_refused(tmp_path):
    path = tmp_path / 'objects.pth'
    torch.save(np.array([1, None], dtype=object), path)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(path)
