from typing import Any, List, Sequence

import numpy as np
from xtcocotools.cocoeval import COCOeval

from .oks import oks

FIELDS = {
    'keypoints_foot': ['foot_kpts'],
    'keypoints_face': ['face_kpts'],
    'keypoints_lefthand': ['lefthand_kpts'],
    'keypoints_righthand': ['righthand_kpts'],
    'keypoints_wholebody': [
        'keypoints',
        'foot_kpts',
        'face_kpts',
        'lefthand_kpts',
        'righthand_kpts',
    ],
}


class CocoKeypointEval(COCOeval):
    """``COCOeval`` of keypoints, the OKS of all poses of an image at once.

    Its values are those of ``COCOeval``, bit for bit, whose inner loop goes pose by
    pose.
    """

    def computeOks(self, imgId: Any, catId: int) -> Sequence:  # noqa: N802
        """OKS (D, G) of the D best poses with the G annotations of an image."""
        gts = self._gts[imgId, catId]
        dts = self._dts[imgId, catId]
        best = np.argsort([-dt[self.score_key] for dt in dts], kind='mergesort')
        dts = [dts[i] for i in best[: self.params.maxDets[-1]]]
        if not gts or not dts:
            return []
        poses = self._keypoints(dts)[..., :2]
        found = np.zeros((len(dts), len(gts)))
        for j, (gt, truth) in enumerate(zip(gts, self._keypoints(gts))):
            left, top, width, height = gt['bbox']
            labelled, truth = truth[:, 2] > 0, truth[:, :2]
            if not labelled.any():
                # nobody's keypoints: how far outside of the box and its margin
                labelled = None
                low = [left - width, top - height]
                truth = np.clip(poses, low, [left + width * 2, top + height * 2])
            area = gt['area'] if self.use_area else height * width * 0.53
            found[:, j] = oks(poses, truth, area, self.sigmas, labelled)
        return found

    def _keypoints(self, anns: List[dict]) -> np.ndarray:
        """Keypoints (A, K, 3) of some annotations or results."""
        fields = FIELDS.get(self.params.iouType, ['keypoints'])
        flat = [np.concatenate([ann[field] for field in fields]) for ann in anns]
        return np.array(flat).reshape(len(anns), -1, 3)
