import numpy as np

from mipnet_mmpose import COLORS, draw_poses

SKELETON = [(0, 1), (1, 2)]
POSE = np.array([[20, 50], [60, 50], [100, 50]], float)
BLANK = np.full((100, 120, 3), 255, np.uint8)


def pixels(image, color):
    return (image == color).all(axis=2)


def test_each_person_has_its_colour_and_the_first_lies_on_top():
    drawing = draw_poses(BLANK, np.stack([POSE, POSE]), skeleton=SKELETON)
    assert pixels(drawing, COLORS[0]).sum() > 100
    assert not pixels(drawing, COLORS[1]).any()
    apart = draw_poses(BLANK, np.stack([POSE, POSE - [0, 30]]), skeleton=SKELETON)
    for y, color in ((50, COLORS[0]), (20, COLORS[1])):
        assert (apart[y, 20] == color).all()


def test_unsure_keypoints_are_hollow_and_absent_ones_not_drawn():
    image = draw_poses(BLANK, POSE[None], np.array([[0.9, 0.2, 0.0]]), radius=6)
    assert (image[50, 20] == COLORS[0]).all()
    assert (image[50, 60] == 255).all()  # inside of the circle
    assert (image[44:57, 54:67] != 255).any()
    assert (image[40:60, 90:110] == 255).all()


def test_nan_and_far_keypoints_do_no_harm():
    pose = np.array([[[np.nan, 1], [1e30, 5], [20, 50]]])
    drawing = draw_poses(BLANK, pose, skeleton=SKELETON, lambdas=[0])
    assert (drawing[50, 20] == COLORS[0]).all()


def test_every_lambda_is_written_in_a_place_of_its_own():
    poses = np.stack([POSE] * 4)
    tags = draw_poses(BLANK, poses, lambdas=[0, 1, 2, 0.25])
    plain = draw_poses(BLANK, poses)
    for color in COLORS[1:4]:
        assert not pixels(plain, color).any()
        assert pixels(tags, color).sum() > 60
