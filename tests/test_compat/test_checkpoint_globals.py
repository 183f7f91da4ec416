"""MMEngine's checkpoints load by torch's safe default; nothing else does."""

import pickle

import numpy as np
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.utils import digit_version

needs_safe_globals = pytest.mark.skipif(
    digit_version(torch.__version__) < digit_version('2.6'),
    reason='this torch loads with weights_only=False by default',
)


class Call:
    """Pickles as a call of ``function`` with ``args``."""

    def __init__(self, function, *args):
        self.function, self.args = function, args

    def __reduce__(self):
        return self.function, self.args


def test_what_mmengine_saves_loads_by_default(tmp_path):
    """Its log beside the weights, and the sigmas of a dataset that has none."""
    log = HistoryBuffer([3.0, 5.0], [1, 1])
    meta = dict(sigmas=np.array([], dtype=np.float32), num_keypoints=21)
    hub = dict(log_scalars={'train/loss': log}, iter=np.int64(2))
    torch.save(dict(meta=meta, message_hub=hub), tmp_path / 'epoch_1.pth')
    loaded = torch.load(tmp_path / 'epoch_1.pth')
    loss = loaded['message_hub']['log_scalars']['train/loss']
    np.testing.assert_array_equal(loss.data, log.data)
    assert loss.statistics('mean', 2) == 4
    sigmas = loaded['meta']['sigmas']
    assert sigmas.shape == (0,) and sigmas.dtype == np.float32


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
        Call(getattr, HistoryBuffer, 'register_statistics'),
        Call(getattr, HistoryBuffer([1], [1]), '__class__'),
        Call(getattr, np.ndarray, 'tofile'),
    ],
)
def test_getattr_reaches_nothing_but_the_statistics(tmp_path, payload):
    path = tmp_path / 'evil.pth'
    torch.save(dict(state_dict={}, payload=payload), path)
    torch.load(path, weights_only=False)  # the attack would work
    with pytest.raises(pickle.UnpicklingError, match='refused getattr'):
        torch.load(path)
