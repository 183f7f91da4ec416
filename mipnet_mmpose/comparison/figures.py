"""Figures of two tested models on all people, some of them, and with fewer boxes."""

import contextlib
import io

import numpy as np

from ..datasets.synthcrowd.scene import box_ious
from ..evaluation.coco_keypoint_eval import CocoKeypointEval
from .grouping import group
from .tested_model import CompareError

METRICS = {'AP': 'AP', 'AP50': 'AP .5', 'AP75': 'AP .75', 'AR': 'AR'}

OVERLAPS = {  # largest box IoU of a person with another
    'below 0.1': (0, 0.1),
    '0.1 to 0.5': (0.1, 0.5),
    '0.5 to 0.75': (0.5, 0.75),
    'above 0.75': (0.75, np.inf),
}

CROWDS = {  # CrowdPose's index of an image
    'easy, below 0.1': (0, 0.1),
    'medium, to 0.8': (0.1, 0.8),
    'hard, above 0.8': (0.8, np.inf),
}

SCORE_THRESHOLDS = np.arange(10) / 10

NMS_THRESHOLDS = np.arange(10, 2, -1) / 10  # box IoU; 1 keeps every box


def evaluate(truth, run, results, owners, people=None, images=None):
    """COCO's figures of some results, for all people, some of them, or some images.

    With ``people`` all others become regions to ignore: a pose that matches one of
    them counts neither way, and one that matches nobody counts as wrong only if the
    person its box is for is among ``people``, or the box is for nobody.

    Returns:
        dict: AP, AP50, AP75, AR; None where there is nobody.
    """
    metric, anns = run.metric, truth.coco.anns.values()
    crowd = [ann.get('iscrowd', 0) for ann in anns]
    try:
        if people is not None:
            for ann in anns:
                ann['iscrowd'] = int(ann['id'] not in people)
        with contextlib.redirect_stdout(io.StringIO()):
            evaluation = CocoKeypointEval(
                truth.coco,
                truth.coco.loadRes(results),
                metric.iou_type,
                run.sigmas,
                metric.use_area,
            )
            evaluation.params.areaRng = evaluation.params.areaRng[:1]  # all sizes
            evaluation.params.areaRngLbl = evaluation.params.areaRngLbl[:1]
            if images is not None:
                evaluation.params.imgIds = sorted(images)
            evaluation.evaluate()
            if people is not None:
                for image in filter(None, evaluation.evalImgs):
                    own = [owners[results[i - 1]['box']] for i in image['dtIds']]
                    others = [o is not None and o['id'] not in people for o in own]
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
    thresholds = evaluation.params.iouThrs

    def mean(values):
        return float(values[values >= 0].mean())

    return dict(
        AP=mean(precision),
        AP50=mean(precision[thresholds == 0.5]),
        AP75=mean(precision[thresholds == 0.75]),
        AR=mean(recall),
    )


def similarity(keypoints, ann, run):
    """COCO's OKS of poses (..., K, 2) with an annotated person, (...)."""
    truth = np.reshape(ann['keypoints'], (-1, 3))
    area = ann['area'] if run.metric.use_area else np.prod(ann['bbox'][2:]) * 0.53
    square = ((keypoints - truth[:, :2]) ** 2).sum(axis=-1)
    error = square / (2 * run.sigmas) ** 2 / (area + np.spacing(1)) / 2
    return np.exp(-error[..., truth[:, 2] > 0]).mean(axis=-1)


def best_choice(truth, run, owners):
    """For each box the pose most like the person it is for, (B,)."""
    choice = np.zeros(len(owners), int)
    for box, ann in enumerate(owners):
        if ann is not None and truth.counts(ann):
            choice[box] = similarity(run.keypoints[box], ann, run).argmax()
    return choice


def tabulate(truth, baseline, mipnet, owners):
    """All figures: {subset kind: {subset: {'people': n, model: figures}}}."""
    num = len(mipnet.lambdas)
    models = {'baseline': (baseline, None), 'MIPNet': (mipnet, None)}
    for i, value in enumerate(mipnet.lambdas):
        choice = np.full(len(mipnet.images), i)
        models[f'λ = {value:g} alone'] = (mipnet, choice)
    models[f'best of {num}'] = (mipnet, best_choice(truth, mipnet, owners))
    results = {name: (r, r.results(choice=c)) for name, (r, c) in models.items()}
    subsets = {'all': {'all': {}}}
    subsets['overlap'] = {
        name: dict(people=truth.people_overlapping(*limits))
        for name, limits in OVERLAPS.items()
    }
    subsets['crowding'] = {
        name: dict(images=truth.images_of(*limits)) for name, limits in CROWDS.items()
    }
    tables = {}
    for kind, names in subsets.items():
        tables[kind] = {}
        for name, subset in names.items():
            people = subset.get('people')
            if people is None:
                people = truth.labelled(subset.get('images'))
            row = tables[kind][name] = dict(people=len(people))
            for model, (run, found) in results.items():
                row[model] = evaluate(truth, run, found, owners, **subset)
    return tables


def check_figures(row, runs):
    """That the figures from the saved predictions are those of MMPose's test."""
    for model, run in runs.items():
        for name, key in METRICS.items():
            expected = run.figures[f'{run.metric.prefix}/{key}']
            if abs(row[model][name] - expected) > 1e-9:
                raise CompareError(
                    f'{model}: {name} is {row[model][name]} here, but {expected} in '
                    "MMPose's test"
                )


def suppress_boxes(run, threshold):
    """Which boxes a greedy NMS keeps, by score and then by area, bool (B,)."""
    kept = np.zeros(len(run.images), bool)
    sizes = (run.boxes[:, 2:] - run.boxes[:, :2]).prod(axis=1)
    for boxes in group(run.images).values():
        boxes = boxes[np.lexsort([-sizes[boxes], -run.box_scores[boxes]])]
        ious = box_ious(run.boxes[boxes], run.boxes[boxes])
        for i, box in enumerate(boxes):
            kept[box] = not (ious[i, :i][kept[boxes[:i]]] > threshold).any()
    return kept


def withhold_boxes(truth, runs, owners):
    """AP and AR with fewer boxes: {kind: [{'threshold', 'boxes', model: figures}]}."""
    run = runs['MIPNet']
    views = {'nms': [(t, suppress_boxes(run, t)) for t in NMS_THRESHOLDS]}
    if len(set(run.box_scores.tolist())) > 1:
        views['score'] = [(t, run.box_scores >= t) for t in SCORE_THRESHOLDS]
    curves = {}
    for kind, kept_boxes in views.items():
        curves[kind] = []
        for threshold, kept in kept_boxes:
            point = dict(threshold=float(threshold), boxes=int(kept.sum()))
            for name, model in runs.items():
                found = model.results(kept=kept)
                point[name] = evaluate(truth, model, found, owners)
            curves[kind].append(point)
    return curves
