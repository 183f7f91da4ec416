"""Figures with fewer boxes."""

from typing import Dict, List

import numpy as np
from tqdm import tqdm

from ..evaluation.boxes import box_nms
from .figures import Models, Owners, evaluate
from .people import People
from .tested_model import TestedModel, rows_by_key

SCORE_THRESHOLDS = np.arange(10) / 10
NMS_THRESHOLDS = np.arange(10, 2, -1) / 10  # box IoU; 1 keeps every box


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
        for threshold, kept in tqdm(view, desc=f'boxes by {kind}'):
            point = dict(threshold=float(threshold), boxes=int(kept.sum()))
            for name, model in models.items():
                results = model.results(kept=kept)
                point[name] = evaluate(people, model, results, owners)
            curves[kind].append(point)
    return curves
