"""Generated cases against slow and plain references.

``pytest tests/test_properties.py --hypothesis-profile long`` takes 20 times as many.
"""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from mmpose.evaluation.functional import oks_nms as stock_oks_nms

from mipnet_mmpose.datasets.siblings import SiblingIndex
from mipnet_mmpose.evaluation import oks_nms, score_poses, soft_oks_nms, suppress_poses
from mipnet_mmpose.evaluation.oks import COCO_SIGMAS
from mipnet_mmpose.models.mimb import encode_lambdas, fold, unfold
from mipnet_mmpose.visualization import draw_poses

seeds = st.integers(0, 2**32 - 1)
any_float = st.floats(width=32)  # NaN and infinity too
quiet = settings(deadline=None, suppress_health_check=list(HealthCheck))


def cases(number):
    """So many in an ordinary run, 20 times as many in the profile ``long``."""
    times = settings.default.max_examples // 100
    return settings(quiet, max_examples=number * max(times, 1))


settings.register_profile('long', max_examples=2000)


# ------------------------------------------------------------------------- evaluation


@st.composite
def crowds(draw, largest=12):
    """Keypoints, scores and areas of people, some of them equal or of equal score."""
    rng = np.random.default_rng(draw(seeds))
    num = draw(st.integers(0, largest))
    centers = rng.uniform(0, 60, (max(num, 1), 1, 2))
    keypoints = centers + rng.normal(0, draw(st.floats(0.1, 30)), (max(num, 1), 17, 2))
    keypoints = keypoints[rng.integers(0, len(keypoints), num)]
    scores = rng.uniform(0, 1, num)
    if draw(st.booleans()):
        scores = scores.round(1)
    return keypoints.astype(np.float32), scores, rng.uniform(1, 5000, num)


def plain_oks(a, b, area_a, area_b):
    total = 0.0
    for (xa, ya), (xb, yb), sigma in zip(a.astype(float), b.astype(float), COCO_SIGMAS):
        square = (xa - xb) ** 2 + (ya - yb) ** 2
        total += np.exp(-square / (2 * sigma) ** 2 / ((area_a + area_b) / 2) / 2)
    return total / 17


@cases(300)
@given(crowds(), st.floats(0.05, 0.95))
def test_oks_nms_keeps_whom_nobody_better_resembles(crowd, threshold):
    keypoints, scores, areas = crowd
    kept = oks_nms(keypoints, scores, areas, threshold).tolist()
    people = [
        dict(keypoints=np.c_[k, np.ones(17)], score=s, area=a)
        for k, s, a in zip(keypoints, scores, areas)
    ]
    if len(set(scores)) == len(scores):  # else MMPose's result depends on the processor
        assert kept == list(stock_oks_nms(people, threshold, COCO_SIGMAS))
    expected = []
    for i in sorted(range(len(scores)), key=lambda i: (-scores[i], -i)):
        alike = [
            plain_oks(keypoints[i], keypoints[j], areas[i], areas[j]) for j in expected
        ]
        if np.isclose(alike, threshold, rtol=0, atol=1e-5).any():
            return  # rounding decides
        if all(value <= threshold for value in alike):
            expected.append(i)
    assert kept == expected


@cases(200)
@given(crowds(), seeds)
def test_the_order_of_the_boxes_changes_no_score_that_is_kept(crowd, seed):
    keypoints, scores, areas = crowd
    order = np.random.default_rng(seed).permutation(len(scores))
    for nms in (oks_nms, soft_oks_nms):
        kept = nms(keypoints, scores, areas, 0.7)
        shuffled = nms(keypoints[order], scores[order], areas[order], 0.7)
        if len(set(scores)) == len(scores):
            assert kept.tolist() == order[shuffled].tolist()
        assert len(set(kept.tolist())) == len(kept)
        assert set(kept.tolist()) <= set(range(len(scores)))


@cases(100)
@given(crowds())
def test_equal_poses_are_one_person(crowd):
    keypoints, scores, areas = crowd
    doubled = [np.concatenate([x, x]) for x in (keypoints, scores, areas)]
    kept = oks_nms(*doubled, 0.9)
    assert len(kept) == len(oks_nms(keypoints, scores, areas, 0.9))
    everybody = suppress_poses(*doubled, nms_mode='none')
    assert everybody.tolist() == list(range(2 * len(scores)))


@cases(200)
@given(
    arrays.arrays(np.float32, (3, 17), elements=st.floats(0, 1, width=32)),
    st.sampled_from(['bbox', 'keypoint', 'bbox_keypoint']),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_scores_are_those_of_the_formula(keypoint_scores, mode, threshold, decay):
    boxes, lambdas = np.array([0.3, 0.6, 1.0]), np.array([0.0, 1.0, 0.5])
    found = score_poses(keypoint_scores, boxes, lambdas, mode, threshold, decay)
    for scores, box, value, score in zip(keypoint_scores, boxes, lambdas, found):
        confident = [float(s) for s in scores if s > np.float32(threshold)]
        mean = sum(confident) / max(len(confident), 1)
        plain = dict(bbox=box, keypoint=np.mean(scores), bbox_keypoint=box * mean)
        expected = plain[mode] * (decay if value >= 1 else 1)
        assert score == pytest.approx(expected, rel=1e-5, abs=1e-7)


# --------------------------------------------------------------------------- the data


@cases(300)
@given(seeds, st.integers(0, 30), st.integers(1, 5), st.integers(0, 17))
def test_siblings_are_the_others_of_the_image_by_distance(seed, num, images, least):
    rng = np.random.default_rng(seed)
    keys = rng.integers(0, images, num).tolist()
    centers = rng.integers(0, 5, (num, 2)).astype(float)  # equal distances too
    visible = rng.integers(0, 3, (num, 17))
    keypoints = rng.uniform(0, 9, (num, 17, 2))
    index = SiblingIndex(keys, centers, keypoints, visible, least)
    assert len(index) == num
    for i in range(num):
        expected = [
            (np.hypot(*(centers[j] - centers[i])), j)
            for j in range(num)
            if j != i and keys[j] == keys[i] and (visible[j] > 0).sum() >= least
        ]
        expected = [j for _, j in sorted(expected)]
        found, seen = index[i]
        np.testing.assert_array_equal(found, keypoints[expected])
        np.testing.assert_array_equal(seen, visible[expected])


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
