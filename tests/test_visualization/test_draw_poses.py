import numpy as np

from mipnet_mmpose import COLORS, draw_poses

SKELETON = [(0, 1), (1, 2)]


def blank(height=100, width=120):
    return np.full((height, width, 3), 255, np.uint8)


def pixels(image, color):
    return (image == color).all(axis=2)


def test_each_person_has_its_colour_and_the_first_lies_on_top():
    pose = np.array([[20, 50], [60, 50], [100, 50]], float)
    drawing = draw_poses(blank(), np.stack([pose, pose]), skeleton=SKELETON)
    assert pixels(drawing, COLORS[0]).sum() > 100
    assert not pixels(drawing, COLORS[1]).any()
    apart = draw_poses(blank(), np.stack([pose, pose - [0, 30]]), skeleton=SKELETON)
    for y, color in ((50, COLORS[0]), (20, COLORS[1])):
        assert (apart[y, 20] == color).all()


def test_unsure_keypoints_are_hollow_and_absent_ones_not_drawn():
    pose = np.array([[[20, 50], [60, 50], [100, 50]]], float)
    image = draw_poses(blank(), pose, np.array([[0.9, 0.2, 0.0]]), radius=6)
    assert (image[50, 20] == COLORS[0]).all()
    assert (image[50, 60] == 255).all()  # inside of the circle
    assert (image[44:57, 54:67] != 255).any()
    assert (image[40:60, 90:110] == 255).all()


def test_nan_and_far_keypoints_do_no_harm():
    pose = np.array([[[np.nan, 1], [1e30, 5], [20, 50]]])
    drawing = draw_poses(blank(), pose, skeleton=SKELETON, lambdas=[0])
    assert (drawing[50, 20] == COLORS[0]).all()


def test_every_lambda_is_written_in_a_place_of_its_own():
    pose = np.array([[20, 50], [60, 50], [100, 50]], float)
    poses = np.stack([pose] * 4)
    tags = draw_poses(blank(), poses, lambdas=[0, 1, 2, 0.25])
    plain = draw_poses(blank(), poses)
    for color in COLORS[1:4]:
        assert not pixels(plain, color).any()
        assert pixels(tags, color).sum() > 60
