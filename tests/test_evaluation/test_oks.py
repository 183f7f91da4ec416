import numpy as np
import pytest
from mmpose.evaluation.functional.nms import oks_iou
from mmpose.evaluation.functional.nms import oks_nms as stock_oks_nms
from mmpose.evaluation.functional.nms import soft_oks_nms as stock_soft_oks_nms

from mipnet_mmpose.evaluation import oks, oks_nms
from mipnet_mmpose.evaluation.oks import drop_patchwork


def crowd(num, num_keypoints=17, seed=0):
    """Persons of which many nearly agree."""
    rng = np.random.default_rng(seed)
    base = rng.uniform(0, 200, (max(num // 4, 1), num_keypoints, 2))
    keypoints = base[rng.integers(len(base), size=num)]
    keypoints = (keypoints + rng.normal(0, 4, keypoints.shape)).astype('f4')
    scores = rng.uniform(0, 1, num).astype('f4')
    return keypoints, scores, rng.uniform(500, 9000, num).astype('f4')


def as_dicts(keypoints, scores, areas):
    return [
        dict(keypoints=np.c_[k, np.ones(len(k))].astype('f4'), score=s, area=a)
        for k, s, a in zip(keypoints, scores, areas)
    ]


def test_oks_equals_mmpose():
    keypoints, _, areas = crowd(20, 133)
    sigmas = np.full(133, 0.05)
    flat = np.array([d['keypoints'].ravel() for d in as_dicts(keypoints, areas, areas)])
    expected = oks_iou(flat[0], flat[1:], areas[0], areas[1:], sigmas)
    ours = oks(keypoints[1:], keypoints[0], (areas[0] + areas[1:]) / 2, sigmas)
    np.testing.assert_allclose(ours, expected, rtol=1e-6)


@pytest.mark.parametrize('threshold', [0.1, 0.3, 0.9])
@pytest.mark.parametrize('num', [0, 1, 2, 30, 100])
@pytest.mark.parametrize('soft', [False, True])
def test_nms_keeps_what_mmpose_keeps_in_its_order(soft, num, threshold):
    stock = stock_soft_oks_nms if soft else stock_oks_nms
    for seed in range(3):
        persons = crowd(num, seed=seed)
        expected = stock(as_dicts(*persons), threshold)
        assert oks_nms(*persons, threshold, soft=soft).tolist() == list(expected)


def test_of_equal_scores_the_later_person_comes_first():
    keypoints, _, areas = crowd(64)
    apart = keypoints + 1e5 * np.arange(64, dtype='f4')[:, None, None]
    scores = np.repeat([0.4, 0.8, 0.4, 0.6], 16)
    best_first = [*range(31, 15, -1), *range(63, 47, -1)]
    best_first += [*range(47, 31, -1), *range(15, -1, -1)]
    assert oks_nms(apart, scores, areas, 0.9).tolist() == best_first
    same = np.repeat(keypoints[:1], 64, axis=0)
    assert oks_nms(same, np.full(64, 0.5), areas, 0.9).tolist() == [63]


def test_a_pose_put_together_from_two_persons_goes():
    """Half of its keypoints are those of either one, so its OKS with each is 0.5."""
    left = np.random.default_rng(0).uniform(0, 100, (17, 2))
    both = left.copy()
    both[8:] += (1000, 0)
    poses = np.stack([left, left + (1000, 0), both, left + (0, 1000)])
    areas, suspects = np.full(4, 1e4), np.array([False, False, True, True])
    assert oks(both, left, 1e4) == pytest.approx(8 / 17)
    assert oks_nms(poses, np.arange(4)[::-1], areas, 0.7).tolist() == [0, 1, 2, 3]
    assert drop_patchwork(poses, areas, suspects, 0.7).tolist() == [0, 1, 3]
    assert drop_patchwork(poses, areas, ~suspects, 0.7).tolist() == [0, 1, 2, 3]
