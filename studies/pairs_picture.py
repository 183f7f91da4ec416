"""Draw real pairs of people as skeletons: what one box gives, on what is annotated.

The first three boxes in which MIPNet-TinyPose finds both people, and below them the
first three in which it does not, one of an image, in the order of the file. Annotated
people are grey, λ = 0 is blue, λ = 1 is orange.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import mipnet_mmpose  # noqa: F401 (before mmpose)

# isort: split
import cv2
import numpy as np
from photographs_figures import PAIR, TestSet, both_found, shown

from mipnet_mmpose import estimate_poses, load_model
from mipnet_mmpose.evaluation.merge_poses import merge_settings
from mipnet_mmpose.visualization import draw_poses

CELL = 320  # pixels
GREY, COLOURS = (200, 200, 200), [(200, 110, 30), (30, 120, 240)]


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('data', type=Path, help='folder with images/ and test.json')
    parser.add_argument('-o', '--out', type=Path, default=Path('pairs.png'))
    return parser.parse_args()


def draw(box, people, poses, skeleton):
    """A cell: the annotated people of a pair, and the poses of its box."""
    left, top, right, bottom = box
    scale = 0.8 * CELL / max(right - left, bottom - top)
    offset = CELL / 2 - scale * np.array([left + right, top + bottom]) / 2
    cell = np.full((CELL, CELL, 3), 255, np.uint8)
    truth = np.array([np.reshape(person['keypoints'], (-1, 3)) for person in people])
    places = truth[..., :2] * scale + offset
    cell = draw_poses(cell, places, truth[..., 2], skeleton, [GREY], thickness=6)
    colours = [COLOURS[int(value)] for value in poses['lambdas']]
    places = poses['keypoints'] * scale + offset
    return draw_poses(cell, places, None, skeleton, colours)


def main():
    args = parse_args()
    model = load_model()
    skeleton = model.dataset_meta['skeleton_links']
    tests = TestSet(args.data / 'test.json', args.data / 'images')
    cells = {True: [], False: []}
    for i, (people, ious) in enumerate(zip(tests.people, tests.ious)):
        pairs = np.argwhere(ious > PAIR)
        if not len(pairs) or min(map(len, cells.values())) == 3:
            continue
        own, other = pairs[0]
        boxes = tests.boxes[i : i + 1]
        (poses,) = estimate_poses(model, tests.paths[i], boxes, nms_mode='none')
        poses = shown(poses, own, merge_settings(model.cfg))
        pair = people[own], people[other]
        row = cells[both_found(poses, pair)]
        if len(row) < 3:
            box = tests.boxes[i][[own, other]]
            box = [*box[:, :2].min(axis=0), *box[:, 2:].max(axis=0)]
            row.append(draw(box, pair, poses, skeleton))
            print(tests.paths[i])
    cv2.imwrite(str(args.out), np.vstack([np.hstack(row) for row in cells.values()]))


if __name__ == '__main__':
    main()
