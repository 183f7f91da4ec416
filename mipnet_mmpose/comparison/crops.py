"""The crops where two models differ most, drawn side by side."""

from pathlib import Path
from typing import List

import cv2
import numpy as np

from ..visualization import COLORS, draw_poses, picture_grid, write_title
from ..whole_files import written_whole
from .figures import Models, similarity
from .people import People
from .tested_model import TestedModel, rows_by_key

CROPS = 12
CROP_HEIGHT, CAPTION, GAP = 192, 24, 4  # pixels
GREY = (170, 170, 170)


def differing_people(people: People, models: Models) -> List[dict]:
    """The people on whom the models differ most, at most one of an image.

    A person's OKS is that of the most similar pose of any box of the image.

    Returns:
        list[dict]: greatest difference first: id of the ``person``, name of the
        ``image``, OKS under each model's name, and index of the ``box`` the better
        model found the person in.
    """
    found = {}
    for image, boxes in rows_by_key(models['MIPNet'].images).items():
        for ann in people.sought({image}):
            person = dict(person=ann['id'], image=people.coco.imgs[image]['file_name'])
            best = {}
            for name, model in models.items():
                oks = similarity(model.keypoints[boxes], ann, model).max(axis=1)
                best[name] = int(boxes[oks.argmax()])
                person[name] = float(oks.max())
            person['box'] = best[max(models, key=person.get)]
            if image not in found or _difference(person) > _difference(found[image]):
                found[image] = person
    return sorted(found.values(), key=_difference, reverse=True)[:CROPS]


def _difference(person: dict) -> float:
    return abs(person['MIPNet'] - person['baseline'])


def draw_crops(path: Path, people: People, models: Models, persons: List[dict]) -> None:
    """Save, for some people, the truth, the baseline's pose and MIPNet's of each λ.

    Args:
        path (Path): of the picture.
        people (People): of the test set.
        models (dict[str, TestedModel]): ``'baseline'`` and ``'MIPNet'``.
        persons (list[dict]): of :func:`differing_people`, not empty.
    """
    lambdas = models['MIPNet'].lambdas
    strips = [_strip(people, models, person) for person in persons]
    titles = ['truth', 'baseline', *(f'lambda {value:g}' for value in lambdas)]
    with written_whole(path) as part:
        cv2.imwrite(str(part), picture_grid(strips, titles))


def _strip(people: People, models: Models, person: dict) -> np.ndarray:
    """The cells of a person side by side under a caption."""
    box, mipnet = person['box'], models['MIPNet']
    crop = _Crop(mipnet, box)
    anns = people.sought({mipnet.images[box]})
    anns.sort(key=lambda ann: ann['id'] != person['person'])  # first lies on top
    joints = np.array([ann['keypoints'] for ann in anns]).reshape(len(anns), -1, 3)
    scores = np.array([0, 0.2, 1])[joints[..., 2].astype(int)]  # hidden: hollow
    colors = [COLORS[2]] + [GREY] * (len(anns) - 1)
    cells = [crop.draw(joints[..., :2], scores, colors)]
    shown = [(models['baseline'], 0, COLORS[4])]
    shown += [(mipnet, i, COLORS[i % 4]) for i in range(len(mipnet.lambdas))]
    for model, i, color in shown:
        poses = model.keypoints[box, [i]], model.keypoint_scores[box, [i]]
        cells.append(crop.draw(*poses, [color]))
    cells = np.hstack(cells)
    caption = np.full((CAPTION, cells.shape[1], 3), 255, np.uint8)
    oks = f'OKS {person["baseline"]:.2f} -> {person["MIPNet"]:.2f}'
    write_title(caption, f'{person["image"]}: {oks}')
    return np.vstack([caption, cells])


class _Crop:
    """What a model sees of a box, enlarged or reduced to the height of a cell."""

    def __init__(self, model: TestedModel, box: int):
        sample = model.samples[box]
        extent = np.array(sample['input_scale'])
        self.corner = np.array(sample['input_center']) - extent / 2
        size = round(CROP_HEIGHT * extent[0] / extent[1]), CROP_HEIGHT
        self.zoom = size / extent
        matrix = np.c_[np.diag(self.zoom), -self.zoom * self.corner]
        image = cv2.imread(sample['img_path'])
        self.pixels = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR)
        self.skeleton = model.meta['skeleton_links']

    def draw(self, keypoints, scores, colors) -> np.ndarray:
        """The crop with poses (P, K, 2) in pixels of the image, a gap behind it."""
        keypoints = (keypoints - self.corner) * self.zoom
        cell = draw_poses(
            self.pixels, keypoints, scores, self.skeleton, colors, radius=2
        )
        return cv2.copyMakeBorder(cell, 0, 0, 0, GAP, 0, value=[255] * 3)
