"""AP by how much people overlap, and where boxes are withheld."""

import numpy as np

from ..evaluation.boxes import annotated_boxes, box_iou, box_nms, largest_ious
from .tested_model import TestedModel

# largest box IoU of a person with another
OVERLAPS = {
    'below 0.1': (0, 0.1),
    '0.1 to 0.5': (0.1, 0.5),
    '0.5 to 0.75': (0.5, 0.75),
    'above 0.75': (0.75, np.inf),
}
NMS_THRESHOLDS = np.arange(10, 2, -1) / 10  # box IoU; 1 keeps every box


def by_overlap(models: dict[str, TestedModel]) -> dict[str, dict]:
    """Figures of the people of each bin of :data:`OVERLAPS`, in their boxes.

    A box is that of the person with whose box it has the largest IoU. The boxes of
    other bins' people are not given, and these people are regions to ignore.

    Returns:
        dict: of a bin the number of ``people`` and the figures of each model.
    """
    first = next(iter(models.values()))
    people = [ann for ann in first.annotations.values() if not ann.get('iscrowd')]
    persons = {a['category_id'] for a in people if any(a.get('keypoints', ())[2::3])}
    people = [ann for ann in people if ann['category_id'] in persons]
    images = np.array([ann['image_id'] for ann in people])
    boxes, ids = annotated_boxes(people), np.array([ann['id'] for ann in people])
    overlap = largest_ious(images, boxes)
    of_overlap = []  # of the person of each box, NaN for nobody
    for image, box in zip(first.images, first.boxes):
        members = np.flatnonzero(images == image)
        ious = box_iou(box[None], boxes[members])[0]
        found = ious.max(initial=0) > 0
        of_overlap.append(overlap[members[ious.argmax()]] if found else np.nan)
    of_overlap = np.array(of_overlap)
    labelled = np.array([any(ann['keypoints'][2::3]) for ann in people])
    table = {}
    for name, (low, high) in OVERLAPS.items():
        among = ids[labelled & (low <= overlap) & (overlap < high)]
        kept = np.isnan(of_overlap) | (low <= of_overlap) & (of_overlap < high)
        table[name] = dict(people=len(among))
        for model in models:
            table[name][model] = models[model].evaluate(kept, set(among.tolist()))
    return table


def fewer_boxes(models: dict[str, TestedModel]) -> list[dict]:
    """``threshold`` of a box NMS, ``boxes`` left, and the figures of each model."""
    first, points = next(iter(models.values())), []
    images = np.array(first.images)
    for threshold in NMS_THRESHOLDS:
        kept = np.zeros(len(images), bool)
        for image in set(first.images):
            rows = np.flatnonzero(images == image)
            best = box_nms(first.boxes[rows], first.box_scores[rows], threshold)
            kept[rows[best]] = True
        point = dict(threshold=float(threshold), boxes=int(kept.sum()))
        points.append(point | {n: model.evaluate(kept) for n, model in models.items()})
    return points
