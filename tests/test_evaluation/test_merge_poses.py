import numpy as np
import pytest
from mmpose.evaluation.functional import oks_nms as stock_oks_nms

from mipnet_mmpose.evaluation import MERGE_DEFAULTS, merge_poses, merge_sigmas
from mipnet_mmpose.evaluation.oks import COCO_SIGMAS


def poses_of(num=8):
    """Poses far from each other, of two per box."""
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(0, 50, (num, 17, 2))
    keypoints += 1000 * np.arange(num)[:, None, None]
    return dict(
        keypoints=keypoints,
        keypoint_scores=rng.uniform(0.3, 1, (num, 17)),
        bbox_scores=np.linspace(1, 0.5, num),
        lambdas=np.arange(num) % 2,
        areas=np.full(num, 2500.0),
    )


def test_score_is_that_of_the_formula_and_the_best_comes_first():
    poses = poses_of()
    kept, scores = merge_poses(**poses)
    mean = poses['keypoint_scores'].mean(axis=1)  # all are above the threshold
    expected = poses['bbox_scores'] * mean * np.where(poses['lambdas'], 0.5, 1)
    np.testing.assert_allclose(scores, expected)
    assert kept.tolist() == np.argsort(-expected).tolist()
    kept, scores = merge_poses(**poses_of(0))
    assert len(kept) == len(scores) == 0


def test_people_are_those_of_mmposes_nms():
    poses = poses_of(40)
    near = np.random.default_rng(1).normal(0, 1, (20, 17, 2))
    near *= np.linspace(1, 9, 20)[:, None, None]
    poses['keypoints'][1::2] = poses['keypoints'][::2] + near
    kept, scores = merge_poses(**poses, nms_thr=0.5)
    people = [
        dict(keypoints=np.c_[k, np.ones(17)], score=score, area=2500.0)
        for k, score in zip(poses['keypoints'], scores)
    ]
    assert kept.tolist() == list(stock_oks_nms(people, 0.5, COCO_SIGMAS))
    assert 20 < len(kept) < 40


def test_who_is_not_present_is_no_person():
    presence = np.array([1, 0.96, 1, 0.94, 1, 0.5, 1, 1])
    kept, scores = merge_poses(**poses_of(), presence=presence, score_mode='bbox')
    np.testing.assert_allclose(scores, np.linspace(1, 0.5, 8) * presence)
    least = MERGE_DEFAULTS['presence_thr']
    assert set(kept) == set(np.flatnonzero(presence >= least))
    few, _ = merge_poses(**poses_of(), presence=presence, presence_thr=0.99)
    assert sorted(few) == [0, 2, 4, 6, 7]
    every, _ = merge_poses(**poses_of(), presence=presence, nms_mode='none')
    assert every.tolist() == list(range(8))


@pytest.mark.parametrize('name', ['keypoints', 'keypoint_scores', 'bbox_scores'])
@pytest.mark.parametrize('nms_mode', ['oks_nms', 'none'])
def test_poses_that_are_not_finite_are_left_out(name, nms_mode):
    poses = poses_of()
    poses[name][2], poses[name][5] = np.nan, np.inf
    with pytest.warns(UserWarning, match='^2 of 8 poses are not finite'):
        kept, scores = merge_poses(**poses, nms_mode=nms_mode)
    assert sorted(kept) == [0, 1, 3, 4, 6, 7]
    assert np.flatnonzero(np.isnan(scores)).tolist() == [2, 5]


def test_sigmas_of_the_keypoints_that_are_given():
    meta = dict(num_keypoints=17, sigmas=COCO_SIGMAS)
    np.testing.assert_allclose(merge_sigmas(meta, [0, 11]), [0.026, 0.107])
    assert merge_sigmas(dict(num_keypoints=21, sigmas=[])).shape == (21,)
