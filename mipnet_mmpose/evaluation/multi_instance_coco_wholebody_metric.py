from typing import List, Tuple

import numpy as np
from mmpose.evaluation.metrics import CocoWholeBodyMetric
from mmpose.registry import METRICS

from .multi_instance_coco_metric import MultiInstanceCocoMetric


@METRICS.register_module()
class MultiInstanceCocoWholeBodyMetric(MultiInstanceCocoMetric, CocoWholeBodyMetric):
    """``CocoWholeBodyMetric`` for N poses per box, see
    :class:`MultiInstanceCocoMetric`.

    As with the stock metric the result is that of the whole body; those of its
    parts are printed.
    """

    def _result(self, person: dict) -> dict:
        parts = np.split(person['keypoints'], self._cuts)
        body, foot, face, left_hand, right_hand = (part.ravel() for part in parts)
        return dict(
            image_id=person['img_id'],
            category_id=1,
            keypoints=body.tolist(),
            foot_kpts=foot.tolist(),
            face_kpts=face.tolist(),
            lefthand_kpts=left_hand.tolist(),
            righthand_kpts=right_hand.tolist(),
            score=float(person['score']),
        )

    def _evaluations(self) -> List[Tuple[str, np.ndarray]]:
        names = ('body', 'foot', 'face', 'lefthand', 'righthand', 'wholebody')
        sigmas = self.dataset_meta['sigmas']
        parts = [*np.split(sigmas, self._cuts), sigmas]
        return [(f'keypoints_{name}', part) for name, part in zip(names, parts)]

    @property
    def _cuts(self) -> np.ndarray:
        return np.cumsum(
            [self.body_num, self.foot_num, self.face_num, self.left_hand_num]
        )
