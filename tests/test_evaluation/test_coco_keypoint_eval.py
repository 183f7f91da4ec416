import numpy as np
import pytest
from xtcocotools.cocoeval import COCOeval

from mipnet_mmpose.evaluation.coco_keypoint_eval import FIELDS, CocoKeypointEval

NUMBERS = dict(
    keypoints=17, foot_kpts=6, face_kpts=68, lefthand_kpts=21, righthand_kpts=21
)


def annotations(num, rng, labelled=True):
    anns = []
    for _ in range(num):
        ann = dict(
            bbox=rng.uniform(50, 150, 4).tolist(),
            area=rng.uniform(2000, 9000),
            score=rng.uniform(),
        )
        for field, number in NUMBERS.items():
            keypoints = rng.uniform(0, 200, (number, 3))
            keypoints[:, 2] = rng.integers(0, 3, number) * labelled
            ann[field] = keypoints.ravel().tolist()
        anns.append(ann)
    return anns


@pytest.mark.parametrize('use_area', [True, False])
@pytest.mark.parametrize(
    'iou_type', ['keypoints', 'keypoints_body', 'keypoints_crowd', *FIELDS]
)
def test_oks_is_that_of_cocoeval(iou_type, use_area):
    fields = FIELDS.get(iou_type, ['keypoints'])
    sigmas = np.random.default_rng(1).uniform(
        0.1, 0.8, sum(NUMBERS[field] for field in fields)
    )
    rng = np.random.default_rng(0)
    gts = annotations(3, rng) + annotations(1, rng, labelled=False)
    people = {0: (gts, annotations(25, rng)), 1: (gts, []), 2: ([], gts)}
    for image_id, (truth, poses) in people.items():
        oks = []
        for kind in (COCOeval, CocoKeypointEval):
            evaluation = kind(None, None, iou_type, sigmas, use_area)
            evaluation._gts[image_id, 1] = truth
            evaluation._dts[image_id, 1] = poses
            oks.append(evaluation.computeOks(image_id, 1))
        np.testing.assert_array_equal(*oks)
        assert np.shape(oks[1]) == ((20, 4) if image_id == 0 else (0,))
