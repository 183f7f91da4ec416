import numpy as np

from mipnet_mmpose.evaluation.boxes import annotated_boxes, box_iou, box_nms


def test_iou_in_whole_numbers():
    boxes = np.array([[0, 0, 4, 2], [2, 0, 6, 2], [2, 1, 4, 3], [9, 9, 9, 9]])
    expected = np.array(
        [[1, 4 / 12, 2 / 10, 0], [4 / 12, 1, 2 / 10, 0], [2 / 10, 2 / 10, 1, 0]]
    )
    found = box_iou(boxes[:3], boxes)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert box_iou(boxes[3:], boxes[3:]) == 0
    assert box_iou(boxes[:2], np.zeros((0, 4))).shape == (2, 0)


def test_nms_keeps_the_best_of_those_that_overlap():
    boxes = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [3, 0, 13, 10], [50, 0, 60, 10]])
    scores = np.array([0.5, 0.9, 0.4, 0.7])
    # IoU with the second: 9 / 11, 8 / 12
    assert box_nms(boxes, scores, 0.7).tolist() == [1, 3, 2]
    assert box_nms(boxes, scores, 0.6).tolist() == [1, 3]
    assert box_nms(boxes, scores, 1.0).tolist() == [1, 3, 0, 2]
    assert len(box_nms(boxes[:0], scores[:0], 0.5)) == 0


def test_of_equal_scores_the_larger_box_is_kept():
    boxes = np.array([[0, 0, 10, 10], [0, 0, 10, 12]], float)
    assert box_nms(boxes, np.ones(2), 0.5).tolist() == [1]


def test_boxes_of_annotations():
    anns = [dict(bbox=[1, 2, 3, 4]), dict(bbox=[5, 6, 7.5, 8])]
    assert annotated_boxes(anns).tolist() == [[1, 2, 4, 6], [5, 6, 12.5, 14]]
    assert annotated_boxes([]).shape == (0, 4)
