import numpy as np

from mipnet_mmpose.evaluation.boxes import box_iou, box_nms


def test_nms_keeps_the_best_of_those_that_overlap():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [3, 0, 13, 10], [50, 0, 60, 10]])
    np.testing.assert_allclose(box_iou(boxes[[1]], boxes)[0], [9 / 11, 1, 8 / 12, 0])
    scores = np.array([0.5, 0.9, 0.4, 0.7])
    assert box_nms(boxes, scores, 0.7).tolist() == [1, 3, 2]
    assert box_nms(boxes, scores, 0.6).tolist() == [1, 3]
    assert box_nms(boxes, scores, 1.0).tolist() == [1, 3, 0, 2]
    boxes[1, 3] = 12  # of equal scores the larger box
    assert box_nms(boxes[:2], np.ones(2), 0.5).tolist() == [1]
    assert box_iou(*[np.array([[9, 9, 9, 9]])] * 2) == 0
