"""The crops where two models differ most, drawn side by side."""

import cv2
import numpy as np

from ..visualization import COLORS, draw_poses
from .figures import similarity
from .grouping import group

CROPS = 12


def differing_people(truth, runs):
    """Where the models differ most: the person, the box that shows it, both OKS.

    A person's OKS is that of the most similar pose of any box of the image. The box
    is that of this pose, of the model that did better.

    Returns:
        list[dict]: greatest difference first, at most one of an image.
    """
    found = []
    for image, boxes in group(runs['MIPNet'].images).items():
        for ann in truth.labelled({image}):
            person = dict(person=ann['id'])
            best = {}
            for name, run in runs.items():
                oks = similarity(run.keypoints[boxes], ann, run).max(axis=1)
                best[name] = boxes[oks.argmax()]
                person[name] = float(oks.max())
            better = max(runs, key=lambda name: person[name])
            found.append(dict(person, box=int(best[better])))
    found.sort(key=lambda p: -abs(p['MIPNet'] - p['baseline']))
    images, unique = set(), []
    for person in found:
        image = truth.coco.anns[person['person']]['image_id']
        if image not in images:
            images.add(image)
            unique.append(dict(person, image=truth.coco.imgs[image]['file_name']))
    return unique[:CROPS]


def draw_crops(path, truth, runs, people, height=192, bar=24, header=28):
    """The crops side by side: truth, the baseline's pose, MIPNet's for each λ."""
    mipnet = runs['MIPNet']
    skeleton = mipnet.meta['skeleton_links']
    aspect = np.divide(*mipnet.samples[0]['input_size'])
    width = round(height * aspect)
    titles = ['truth', 'baseline'] + [f'lambda {v:g}' for v in mipnet.lambdas]
    strips = []
    for person in people:
        sample = mipnet.samples[person['box']]
        area = np.array(sample['input_scale'])
        corner = np.array(sample['input_center']) - area / 2
        zoom = np.array([width, height]) / area
        matrix = np.c_[np.diag(zoom), -zoom * corner]
        image = cv2.imread(sample['img_path'])
        crop = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR)

        def drawn(keypoints, visible, colors, crop=crop, corner=corner, zoom=zoom):
            keypoints = (np.array(keypoints) - corner) * zoom
            image = draw_poses(
                crop, keypoints, np.array(visible), skeleton, colors, radius=2
            )
            return cv2.copyMakeBorder(image, *[0, 0, 0, 4], 0, value=[255] * 3)

        anns = truth.labelled({sample['img_id']})
        anns.sort(key=lambda ann: ann['id'] != person['person'])  # first lies on top
        joints = np.array([ann['keypoints'] for ann in anns]).reshape(len(anns), -1, 3)
        seen = np.array([0, 0.2, 1])[joints[..., 2].astype(int)]  # hidden: hollow
        colors = [COLORS[2]] + [(170, 170, 170)] * len(anns)
        cells = [drawn(joints[..., :2], seen, colors)]
        shown = [('baseline', 0, COLORS[4])]
        shown += [('MIPNet', i, COLORS[i % 4]) for i in range(len(mipnet.lambdas))]
        for name, i, color in shown:
            run, box = runs[name], person['box']
            cells.append(
                drawn(run.keypoints[box, [i]], run.keypoint_scores[box, [i]], [color])
            )
        strip = np.full((bar, (width + 4) * len(cells), 3), 255, np.uint8)
        text = f'{person["image"]}: OKS {person["baseline"]:.2f} -> '
        write(strip, f'{text}{person["MIPNet"]:.2f}', (2, bar - 7))
        strips.append(np.vstack([strip, np.hstack(cells)]))
    if not strips:
        return False
    head = np.full((header, strips[0].shape[1], 3), 255, np.uint8)
    for i, title in enumerate(titles):
        write(head, title, (i * (width + 4) + 2, header - 8), 0.6)
    half = (len(strips) + 1) // 2
    strips += [np.full_like(strips[0], 255)] * (2 * half - len(strips))
    columns = [np.vstack([head, *strips[:half]]), np.vstack([head, *strips[half:]])]
    gap = np.full((len(columns[0]), 16, 3), 255, np.uint8)
    cv2.imwrite(str(path), np.hstack([columns[0], gap, columns[1]]))
    return True


def write(image, text, place, size=0.5):
    cv2.putText(
        image, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, (30, 30, 30), 1, cv2.LINE_AA
    )
