"""Generated cases against slow and plain references.

``pytest tests/test_properties.py --hypothesis-profile long`` takes 20 times as many.
"""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from mipnet_mmpose.models.mimb import encode_lambdas, fold, unfold
from mipnet_mmpose.visualization import draw_poses

any_float = st.floats(width=32)  # NaN and infinity too
quiet = settings(deadline=None, suppress_health_check=list(HealthCheck))


def cases(number):
    """So many in an ordinary run, 20 times as many in the profile ``long``."""
    times = settings.default.max_examples // 100
    return settings(quiet, max_examples=number * max(times, 1))


settings.register_profile('long', max_examples=2000)


# -------------------------------------------------------------------------- the model


@cases(300)
@given(st.integers(1, 8), st.lists(any_float, max_size=4))
def test_lambdas_are_placed_on_the_simplex_or_refused(num, lambdas):
    good = lambdas and all(0 <= value <= num - 1 for value in lambdas)
    if not good:
        with pytest.raises(ValueError, match='lambda'):
            encode_lambdas(lambdas, num)
        return
    codes = encode_lambdas(lambdas, num)
    place = torch.arange(num, dtype=torch.float64)
    for code, value in zip(codes.double(), lambdas):
        assert code.sum().item() == pytest.approx(1) and (code >= 0).all()
        assert (code * place).sum().item() == pytest.approx(value, abs=1e-5)
        assert (code > 0).sum() <= 2


@cases(100)
@given(st.integers(0, 4), st.integers(1, 5), st.lists(st.integers(1, 3), max_size=3))
def test_unfold_undoes_fold(batch, num, shape):
    x = torch.arange(batch * int(np.prod(shape))).reshape(batch, *shape)
    rows = fold(x, num)
    for b in range(batch):
        for i in range(num):
            assert (rows[b * num + i] == x[b]).all()
    assert (unfold(rows, num) == x[:, None]).all()


# ------------------------------------------------------------------------ the drawing


@cases(200)
@given(
    arrays.arrays(np.float32, (2, 17, 2), elements=any_float),
    arrays.arrays(np.float32, (2, 17), elements=any_float),
)
def test_any_pose_can_be_drawn(keypoints, visible):
    image = np.zeros((40, 30, 3), np.uint8)
    skeleton = [(0, 1), (1, 16)]
    drawing = draw_poses(image, keypoints, visible, skeleton, lambdas=[0, 1])
    assert drawing.shape == image.shape and drawing.dtype == np.uint8
    assert not image.any()
