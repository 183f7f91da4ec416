from dataclasses import dataclass

import numpy as np
from mmengine.structures import InstanceData
from scipy.special import expit

from ...evaluation.merge_poses import UNKNOWN_SIGMA
from ...evaluation.oks import oks

MARGIN = 1.25  # a crop is as many times as wide and high as its box


@dataclass(frozen=True)
class Presence:
    """Whether there is a person for a λ ≥ 1, by what the poses of a box tell.

    A sure pose that is not the pose of λ = 0 once more is somebody. The probability is
    the sigmoid of three summands. Nothing of it is trained.

    The defaults are those of MIPNet-TinyPose, from a logistic regression on photographs
    that it was not trained on (``studies/photographs.py``). They suit the scores of
    heatmaps. Those of SimCC want weights of their own; those of regression are all 1
    and tell nothing.

    Args:
        score (float): Weight of the mean score of the pose.
        oks (float): Weight of its OKS with the pose of the smallest λ.
        bias (float): The third summand.
    """

    score: float = 16.45
    oks: float = -3.92
    bias: float = -3.08

    def predict(self, poses: InstanceData, input_size: tuple) -> np.ndarray:
        """Probability (L,) that there is such a person; it is 1 for λ = 0.

        Args:
            poses (InstanceData): L poses of a box, in pixels of the crop.
            input_size (tuple[int, int]): Width and height of the crop.
        """
        area = np.prod(input_size) / MARGIN**2
        keypoints = poses.keypoints[..., :2]
        told = pose_evidence(keypoints, poses.keypoint_scores, poses.lambdas, area)
        logits = np.array([self.score, self.oks]) @ told + self.bias
        return np.where(poses.lambdas > 0, expit(logits), 1).astype(np.float32)


def pose_evidence(
    keypoints: np.ndarray, scores: np.ndarray, lambdas: np.ndarray, area: float
) -> np.ndarray:
    """Mean score of each pose of a box and OKS with that of the smallest λ, (2, L).

    Keypoints (L, K, 2) are in pixels, the area of the box in square pixels;
    scores (L, K), lambdas (L,).
    """
    first = keypoints[np.argmin(lambdas)]
    sigmas = np.full(keypoints.shape[1], UNKNOWN_SIGMA)
    return np.stack([scores.mean(axis=1), oks(keypoints, first, area, sigmas)])
