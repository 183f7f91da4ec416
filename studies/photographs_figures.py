"""What the study on photographs measures of a trained run."""

import contextlib
import io
import json

from photographs_runs import checkpoint, make_pairs, planned_runs, run_config

# isort: split
import numpy as np

from mipnet_mmpose.apis.merge_boxes import MERGE_DEFAULTS
from mipnet_mmpose.comparison import People, TestedModel
from mipnet_mmpose.comparison.figures import similarity
from mipnet_mmpose.comparison.tested_model import rows_by_key
from mipnet_mmpose.datasets.unwrap import stock_dataset_configs
from mipnet_mmpose.evaluation.boxes import annotated_boxes, box_iou
from mipnet_mmpose.evaluation.coco_keypoint_eval import CocoKeypointEval

FOUND = 0.5  # least OKS
THRESHOLDS = (0.5, 0.7, 0.8, 0.9, 0.95, 0.98)  # of presence
SAMPLES = 200  # of the images, for an interval


def test(args, name):
    """All figures of a trained run."""
    run = planned_runs(args)[name]
    pairs = make_pairs(args)
    pair_file = str(pairs / 'annotations.json')
    result = dict(run=name, **run)

    model = tested(args, name, 'all')
    people = People(model.metric)
    result['all'] = evaluate(model, model.results())
    crowded = {p['image_id'] for p in people.sought() if people.overlap[p['id']] > 0.5}
    result['crowded'] = evaluate(model, model.results(), crowded)
    result['real pairs'] = {
        str(low): whom_one_box_finds(people, model, low) for low in (0.3, 0.5)
    }
    result['lone'] = lone_persons(people, model)
    if model.presence is not None:
        result['thresholds'] = [
            dict(
                threshold=threshold,
                twice=lone_persons(people, model, threshold)['twice'],
                both=whom_one_box_finds(people, model, 0.3, threshold)['both'],
            )
            for threshold in THRESHOLDS
        ]

    data = dict(ann_file=pair_file, data_prefix=dict(img=f'{pairs}/images/'))
    model = tested(args, name, 'pairs', **data)
    result['pasted pairs'] = evaluate(model, model.results())
    result['pasted found'] = whom_one_box_finds(People(model.metric), model, 0.3)
    front = str(pairs / 'one_box_per_pair.json')
    model = tested(args, name, 'front', bbox_file=front, **data)
    result['front box'] = evaluate(model, model.results())
    return result


def tested(args, name, part, **data):
    """The model with its poses for one of the test sets."""
    cfg = run_config(args, planned_runs(args)[name])
    ((_, dataset),) = stock_dataset_configs(cfg.test_dataloader.dataset, 'dataset')
    dataset.update(data)
    cfg.test_evaluator.ann_file = dataset.ann_file
    cfg.load_from = str(checkpoint(args, name))
    folder = args.out / name
    cfg.work_dir = str(folder)
    return TestedModel(part, cfg, folder)


def evaluate(model, results, images=None):
    """AP, AR and AR50, with an interval of AP and AR50 over the images."""
    with contextlib.redirect_stdout(io.StringIO()):
        coco = model.metric.coco
        evaluation = CocoKeypointEval(
            coco, coco.loadRes(results), 'keypoints', model.sigmas
        )
        params = evaluation.params
        params.areaRng, params.areaRngLbl = params.areaRng[:1], params.areaRngLbl[:1]
        if images is not None:
            params.imgIds = sorted(images)
        evaluation.evaluate()
        by_image = evaluation.evalImgs  # one category, one size
        figures = _accumulate(evaluation, by_image)
        rng = np.random.default_rng(0)
        drawn = [
            _accumulate(evaluation, [by_image[i] for i in rows])
            for rows in rng.integers(len(by_image), size=(SAMPLES, len(by_image)))
        ]
    for key in ('AP', 'AR50'):
        ends = np.percentile([each[key] for each in drawn], [2.5, 97.5])
        figures[f'{key} interval'] = ends.tolist()
    return dict(figures, images=len(by_image))


def _accumulate(evaluation, by_image):
    evaluation.evalImgs = by_image
    evaluation.accumulate()
    precision = evaluation.eval['precision'][..., 0, 0, -1]  # thresholds, recalls
    recall = evaluation.eval['recall'][..., 0, 0, -1]
    at_half = evaluation.params.iouThrs == 0.5

    def mean(values):
        return float(values[values >= 0].mean()) if (values >= 0).any() else 0.0

    return dict(
        AP=mean(precision),
        AR=mean(recall),
        AP50=mean(precision[at_half]),
        AR50=mean(recall[at_half]),
    )


def whom_one_box_finds(people, model, low, presence=0):
    """Of the pairs over a box IoU, whom the poses of the box of each of them find.

    Poses of less presence do not count.

    Returns:
        dict: ``boxes``, each of a pair twice; ``reached``, of whom both are found;
        ``both``, by two poses; ``own first``, ``other first``: whom λ = 0 finds.
    """
    names = ['boxes', 'reached', 'both', 'own first', 'other first']
    counts = dict.fromkeys(names, 0)
    owners = people.owners(model.images, model.boxes)
    poses_of = {}
    for i, ann in enumerate(owners):
        if ann:
            poses_of[ann['id']] = model.keypoints[i]
            if model.presence is not None:
                shown = model.presence[i] >= presence
                poses_of[ann['id']] = model.keypoints[i][shown]
    for anns in people.by_image.values():
        boxes = annotated_boxes(anns)
        for i, j in np.argwhere(np.triu(box_iou(boxes, boxes) > low, 1)):
            for own, other in ((anns[i], anns[j]), (anns[j], anns[i])):
                if own['id'] in poses_of:
                    _count(counts, poses_of[own['id']], own, other, model)
    return counts


def _count(counts, poses, own, other, model):
    alike = np.array([similarity(poses, ann, model) for ann in (own, other)])
    found = alike >= FOUND
    first, second = found
    counts['boxes'] += 1
    counts['reached'] += bool(first.any() and second.any())
    counts['both'] += bool(
        (first[:, None] & second & ~np.eye(len(poses), dtype=bool)).any()
    )
    best = alike[:, 0].argmax()
    if found[best, 0]:
        counts[('own first', 'other first')[best]] += 1


def lone_persons(people, model, presence=MERGE_DEFAULTS['presence_thr']):
    """Persons alone in their image: how many get more than one pose in the demo."""
    lone = {i for i, anns in people.by_image.items() if len(anns) == 1}
    kept = np.array([image in lone for image in model.images])
    drawn = rows_by_key(
        person['image_id']
        for person in model.results(kept=kept)
        if person.get('presence', 1) >= presence
    )
    twice = sum(len(rows) > 1 for rows in drawn.values())
    return dict(persons=len(lone), twice=twice)


def write_figures(args, name):
    """Test a run and write its figures beside its checkpoint."""
    path = args.out / name / 'figures.json'
    path.write_text(json.dumps(test(args, name)))
