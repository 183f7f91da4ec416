import sys

import mmcv.ops
import numpy as np
import pytest
import torch

import mipnet_mmpose  # noqa: F401, I001 (makes mmcv.ops importable)
from mipnet_mmpose.compat import install_mmcv_ext

lite_only = pytest.mark.skipif(
    not sys.modules['mmcv._ext'].__file__.endswith('mmcv_ext.py'),
    reason='full mmcv is installed',
)


def random_boxes(num, seed, side=60):
    rng = np.random.default_rng(seed)
    corner = rng.integers(0, side, (num, 2))
    size = rng.integers(1, side, (num, 2))
    boxes = np.concatenate([corner, corner + size], axis=1).astype(np.float32)
    scores = rng.permutation(num).astype(np.float32) / num
    return torch.from_numpy(boxes), torch.from_numpy(scores)


def greedy_nms(boxes, scores, iou_threshold, offset):
    """The textbook algorithm, in plain Python numbers."""
    boxes = boxes.tolist()

    def area(x1, y1, x2, y2):
        return max(x2 - x1 + offset, 0) * max(y2 - y1 + offset, 0)

    def iou(a, b):
        inter = area(max(a[0], b[0]), max(a[1], b[1]), min(a[2], b[2]), min(a[3], b[3]))
        return inter / (area(*a) + area(*b) - inter)

    keep = []
    for index in scores.argsort(descending=True).tolist():
        if all(iou(boxes[index], boxes[best]) <= iou_threshold for best in keep):
            keep.append(index)
    return keep


@pytest.mark.parametrize('offset', [0, 1])
@pytest.mark.parametrize('iou_threshold', [0.1, 0.5])
def test_nms_keeps_what_the_textbook_algorithm_keeps(offset, iou_threshold):
    boxes, scores = random_boxes(80, seed=offset)
    dets, keep = mmcv.ops.nms(boxes, scores, iou_threshold, offset=offset)
    assert keep.tolist() == greedy_nms(boxes, scores, iou_threshold, offset)
    assert torch.equal(dets, torch.cat([boxes, scores[:, None]], dim=1)[keep])


@pytest.mark.parametrize('aligned', [True, False])
@pytest.mark.parametrize('sampling_ratio', [0, 1, 3])
def test_roi_align_of_a_ramp_is_that_of_each_bins_middle(aligned, sampling_ratio):
    y, x = np.mgrid[:12, :10]
    features = torch.from_numpy(np.stack([x, 3.0 * y - x])[None])
    left, top, right, bottom = box = np.array([4, 6, 28, 38.0])
    layer = mmcv.ops.RoIAlign(4, 0.25, sampling_ratio, aligned=aligned)
    (output,) = layer(features, torch.from_numpy(np.insert(box, 0, 0)[None])).numpy()
    middle = (np.arange(4) + 0.5) / 4
    x = (left + middle * (right - left)) / 4 - aligned / 2
    y = ((top + middle * (bottom - top)) / 4 - aligned / 2)[:, None]
    np.testing.assert_allclose(output, [x + 0 * y, 3 * y - x], rtol=1e-9, atol=1e-9)


@lite_only
def test_ops_without_stand_in_name_themselves_and_the_remedy():
    conv = mmcv.ops.DeformConv2d(2, 2, 3)
    pool = mmcv.ops.RoIAlign(2, pool_mode='max')
    features = torch.rand(1, 2, 8, 8)
    with pytest.raises(NotImplementedError, match='deform_conv.*mim install mmcv'):
        conv(features, torch.zeros(1, 18, 6, 6))
    with pytest.raises(NotImplementedError, match='roi_align.*max.*mim install'):
        pool(features, torch.tensor([[0.0, 0, 0, 4, 4]]))


@pytest.mark.parametrize('full', [True, False])
def test_full_mmcv_is_left_alone_and_not_imported(full, monkeypatch, tmp_path):
    (tmp_path / 'mmcv').mkdir()
    (tmp_path / 'mmcv' / '__init__.py').write_text('raise AssertionError("imported")')
    if full:
        (tmp_path / 'mmcv' / '_ext.py').touch()
    monkeypatch.syspath_prepend(tmp_path)
    for name in ('mmcv', 'mmcv._ext'):
        monkeypatch.delitem(sys.modules, name, raising=False)
    install_mmcv_ext()
    assert 'mmcv' not in sys.modules
    assert ('mmcv._ext' in sys.modules) != full
