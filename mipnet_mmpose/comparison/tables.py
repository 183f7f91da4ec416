"""Figures by overlap and crowding, of each λ alone and of the best λ of each box."""

from typing import Dict

import numpy as np
from tqdm import tqdm

from .figures import Models, Owners, evaluate, similarity
from .people import People
from .tested_model import TestedModel

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
    tables = {kind: {} for kind in parts}
    every = [(kind, name) for kind, bins in parts.items() for name in bins]
    for kind, name in tqdm(every, desc='tables'):
        part = parts[kind][name]
        sought = part.get('ids')
        if sought is None:
            sought = people.sought(part.get('images'))
        figures = tables[kind][name] = dict(people=len(sought))
        for row, (model, _) in rows.items():
            figures[row] = evaluate(people, model, results[row], owners, **part)
    return tables
