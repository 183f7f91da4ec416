"""Figures of two tested models: of all people, of some, and with fewer boxes."""

import contextlib
import io
from typing import Dict, List, Optional, Sequence, Set

import numpy as np

from ..evaluation.boxes import box_nms
from ..evaluation.coco_keypoint_eval import CocoKeypointEval
from ..evaluation.oks import oks
from .people import People
from .tested_model import CompareError, TestedModel, rows_by_key

METRICS = {'AP': 'AP', 'AP50': 'AP .5', 'AP75': 'AP .75', 'AR': 'AR'}
# largest box IoU of a person with another
OVERLAPS = {
    'below 0.1': (0, 0.1),
    '0.1 to 0.5': (0.1, 0.5),
    '0.5 to 0.75': (0.5, 0.75),
    'above 0.75': (0.75, np.inf),
}
# CrowdPose's index of an image, in its paper's parts
CROWDS = {
    'easy, below 0.1': (0, 0.1),
    'medium, to 0.8': (0.1, 0.8),
    'hard, above 0.8': (0.8, np.inf),
}
SCORE_THRESHOLDS = np.arange(10) / 10
NMS_THRESHOLDS = np.arange(10, 2, -1) / 10  # box IoU; 1 keeps every box

Models = Dict[str, TestedModel]
Owners = Sequence[Optional[dict]]


def evaluate(
    people: People,
    model: TestedModel,
    results: List[dict],
    owners: Owners,
    ids: Optional[Set] = None,
    images: Optional[Set] = None,
) -> Dict[str, Optional[float]]:
    """COCO's figures of some results, for everybody or a part.

    With ``ids`` all other people become regions to ignore: a pose that matches one
    of them counts neither way, and one that matches nobody counts as wrong only if
    the person its box is for has one of the ids, or its box is for nobody.

    Args:
        people (People): of the test set.
        model (TestedModel): whose metric's settings are used.
        results (list[dict]): of :meth:`TestedModel.results`.
        owners (list): of :meth:`People.owners`.
        ids (set, optional): of the annotations that count.
        images (set, optional): ids of the images that count.

    Returns:
        dict: AP, AP50, AP75, AR; all ``None`` where nobody is sought.
    """
    metric, anns = model.metric, people.coco.anns.values()
    crowd = [ann.get('iscrowd', 0) for ann in anns]
    try:
        if ids is not None:
            for ann in anns:
                ann['iscrowd'] = int(ann['id'] not in ids)
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation = CocoKeypointEval(
                people.coco,
                people.coco.loadRes(results),
                metric.iou_type,
                model.sigmas,
                metric.use_area,
            )
            params = evaluation.params
            params.areaRng = params.areaRng[:1]  # all sizes
            params.areaRngLbl = params.areaRngLbl[:1]
            if images is not None:
                params.imgIds = sorted(images)
            evaluation.evaluate()
            if ids is not None:
                for image in filter(None, evaluation.evalImgs):
                    own = [owners[results[i - 1]['box']] for i in image['dtIds']]
                    others = [ann is not None and ann['id'] not in ids for ann in own]
                    missed = image['dtMatches'] < 0
                    image['dtIgnore'] |= missed & np.array(others, bool)
            evaluation.accumulate()
    finally:
        for ann, value in zip(anns, crowd):
            ann['iscrowd'] = value
    precision = evaluation.eval['precision'][..., 0, -1]  # thresholds, recalls, classes
    recall = evaluation.eval['recall'][..., 0, -1]
    if not (recall >= 0).any():
        return dict.fromkeys(METRICS)

    def mean(values):
        return float(values[values >= 0].mean())

    return dict(
        AP=mean(precision),
        AP50=mean(precision[params.iouThrs == 0.5]),
        AP75=mean(precision[params.iouThrs == 0.75]),
        AR=mean(recall),
    )


def similarity(keypoints: np.ndarray, ann: dict, model: TestedModel) -> np.ndarray:
    """COCO's OKS of poses (..., K, 2) with an annotated person, (...)."""
    truth = np.reshape(ann['keypoints'], (-1, 3))
    area = ann['area'] if model.metric.use_area else np.prod(ann['bbox'][2:]) * 0.53
    return oks(keypoints, truth[:, :2], area, model.sigmas, truth[:, 2] > 0)


def best_choice(people: People, model: TestedModel, owners: Owners) -> np.ndarray:
    """For each box the pose most like the person it is for, (B, )."""
    choice = np.zeros(len(owners), int)
    for box, ann in enumerate(owners):
        if ann is not None and people.counts(ann):
            choice[box] = similarity(model.keypoints[box], ann, model).argmax()
    return choice


def tabulate(people: People, models: Models, owners: Owners) -> Dict[str, dict]:
    """All figures, also of each λ alone and of the best λ of each box.

    Returns:
        dict: ``'all'``, ``'overlap'`` and ``'crowding'``, each a dict of bins; of a
        bin the number of ``'people'`` and the figures of each row's name.
    """
    mipnet = models['MIPNet']
    rows = {name: (model, None) for name, model in models.items()}
    for i, value in enumerate(mipnet.lambdas):
        rows[f'λ = {value:g} alone'] = (mipnet, np.full(len(mipnet.images), i))
    best = f'best of {len(mipnet.lambdas)}'
    rows[best] = (mipnet, best_choice(people, mipnet, owners))
    results = {name: model.results(choice=c) for name, (model, c) in rows.items()}
    parts = {
        'all': {'all': {}},
        'overlap': {n: dict(ids=people.overlapping(*b)) for n, b in OVERLAPS.items()},
        'crowding': {
            n: dict(images=people.crowded_images(*b)) for n, b in CROWDS.items()
        },
    }
    tables = {}
    for kind, bins in parts.items():
        tables[kind] = {}
        for name, part in bins.items():
            sought = part.get('ids')
            if sought is None:
                sought = people.sought(part.get('images'))
            figures = tables[kind][name] = dict(people=len(sought))
            for row, (model, _) in rows.items():
                figures[row] = evaluate(people, model, results[row], owners, **part)
    return tables


def check_figures(figures: dict, models: Models) -> None:
    """Raise CompareError unless the figures are those of MMPose's test."""
    if not figures['people']:
        raise CompareError('the test set has nobody with labelled keypoints')
    for row, model in models.items():
        for name, key in METRICS.items():
            expected = model.figures[f'{model.metric.prefix}/{key}']
            if abs(figures[row][name] - expected) > 1e-9:
                raise CompareError(
                    f'{row}: {name} is {figures[row][name]} here, but {expected} in '
                    "MMPose's test"
                )


def suppress_boxes(model: TestedModel, threshold: float) -> np.ndarray:
    """Which boxes a greedy NMS keeps, by score and then by area, bool (B, )."""
    kept = np.zeros(len(model.images), bool)
    for rows in rows_by_key(model.images).values():
        best = box_nms(model.boxes[rows], model.box_scores[rows], threshold)
        kept[rows[best]] = True
    return kept


def withhold_boxes(
    people: People, models: Models, owners: Owners
) -> Dict[str, List[dict]]:
    """Figures with fewer boxes.

    Returns:
        dict: ``'nms'``, and ``'score'`` unless all boxes have the same score; each a
        list of dicts with ``threshold``, number of ``boxes`` and the figures of each
        model.
    """
    mipnet = models['MIPNet']
    views = {'nms': [(t, suppress_boxes(mipnet, t)) for t in NMS_THRESHOLDS]}
    if len(np.unique(mipnet.box_scores)) > 1:
        views['score'] = [(t, mipnet.box_scores >= t) for t in SCORE_THRESHOLDS]
    curves = {}
    for kind, view in views.items():
        curves[kind] = []
        for threshold, kept in view:
            point = dict(threshold=float(threshold), boxes=int(kept.sum()))
            for name, model in models.items():
                results = model.results(kept=kept)
                point[name] = evaluate(people, model, results, owners)
            curves[kind].append(point)
    return curves
