"""COCO's figures of a model's results, of all people or some."""

import contextlib
import io
from typing import Dict, List, Optional, Sequence, Set

import numpy as np

from ..evaluation.coco_keypoint_eval import CocoKeypointEval
from ..evaluation.oks import oks
from .people import People
from .tested_model import CompareError, TestedModel

METRICS = {'AP': 'AP', 'AP50': 'AP .5', 'AP75': 'AP .75', 'AR': 'AR'}

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
