"""What the study measures of a trained run."""

import json

from study_runs import STRENGTHS, checkpoint, planned_runs, run_config, stock_dataset

# isort: split
import numpy as np
from mmengine import load

from mipnet_mmpose.comparison import People, TestedModel
from mipnet_mmpose.comparison.fewer_boxes import suppress_boxes
from mipnet_mmpose.comparison.figures import evaluate, similarity
from mipnet_mmpose.comparison.tested_model import rows_by_key
from mipnet_mmpose.evaluation.boxes import annotated_boxes, box_iou
from mipnet_mmpose.evaluation.oks import oks

TRUTH, BOXES = 'ground truth', 'detections'
METRICS = ('AP', 'AP50', 'AR')
NMS_THRESHOLDS = (0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3)
DECAYS = (0.25, 0.5, 0.75, 1.0)
OKS_THRESHOLDS = (0.9, 0.8, 0.7, 0.6, 0.5)
FOUND = 0.5  # least OKS


def test(args, name):
    """All figures of a trained run."""
    run = planned_runs(args)[name]
    result = dict(run=name, **run)
    for strength in STRENGTHS:
        data = args.out / 'data' / strength
        result[strength] = {}
        for boxes in (TRUTH, BOXES):
            cfg = run_config(args, run, name)
            ann_file = str(data / 'annotations.json')
            stock_dataset(cfg.test_dataloader).update(
                data_root='',
                ann_file=ann_file,
                data_prefix=dict(img=f'{data}/images/'),
                bbox_file=str(data / 'detections.json') * (boxes == BOXES) or None,
            )
            cfg.test_evaluator.ann_file = ann_file
            cfg.load_from, cfg.resume = str(checkpoint(args, name)), False
            result[strength][boxes] = figures_of(args, name, cfg, boxes)
    return result


def figures_of(args, name, cfg, boxes):
    """Figures on one test set: of all boxes, thinned, with other decays."""
    model = TestedModel(name, cfg, args.out / name)
    people = People(model.metric)
    owners = people.owners(model.images, model.boxes)

    def figures(**which):
        return evaluate(people, model, model.results(**which), owners)

    result = dict(boxes=len(owners), **figures())
    num = len(model.lambdas)
    if boxes == BOXES:
        result['thinned'] = []
        for threshold in NMS_THRESHOLDS:
            kept = suppress_boxes(model, threshold)
            point = dict(threshold=threshold, boxes=int(kept.sum()))
            result['thinned'].append(dict(point, **figures(kept=kept)))
        return result

    def sweep(setting, values):
        """Figures with other values of a setting of the metric."""
        used = getattr(model.metric, setting)
        points = []
        for value in values:
            setattr(model.metric, setting, value)
            points.append({setting: value, **figures()})
        setattr(model.metric, setting, used)
        return points

    result['merged'] = sweep('nms_thr', OKS_THRESHOLDS)
    if num > 1:
        result['alone'] = [figures(choice=np.full(len(owners), i)) for i in range(num)]
        result['decay'] = sweep('score_decay', DECAYS)
    result['found'] = who_found_whom(people, model, owners)
    return result


def who_found_whom(people, model, owners):
    """People by the first pose, in the order of the keys, with enough OKS."""
    counts = dict.fromkeys(
        ['own box, λ = 0', 'own box, λ ≥ 1', 'other box, λ = 0', 'other box, λ ≥ 1'], 0
    )
    counts['nobody'] = 0
    boxes_of = {ann['id']: box for box, ann in enumerate(owners) if ann}
    by_image = rows_by_key(model.images)
    for ann in people.sought():
        boxes = by_image[ann['image_id']]
        found = similarity(model.keypoints[boxes], ann, model) >= FOUND  # (boxes, N)
        own = boxes == boxes_of.get(ann['id'])
        hits = [
            found[own, :1],
            found[own, 1:],
            found[~own, :1],
            found[~own, 1:],
            np.ones(1),
        ]
        first = next(key for key, hit in zip(counts, hits) if hit.any())
        counts[first] += 1
    return counts


def whom_boxes_answer(args, name):
    """Whom the pose of λ = 0 is, and λ = 1, of the detected boxes of overlapped pairs.

    From the poses that the last test of a run left. A pose is a person's from an OKS of
    0.5 on, of two the more similar one's; boxes with no person at IoU 0.6 are left out.

    Returns:
        list[float] | None: shares of the boxes: λ = 0 is the box's person, the other
        one, neither; λ = 1 is the other one, the box's person (0 for a baseline).
    """
    file = args.out / name / f'{name}.pkl'
    if not file.exists():
        return None
    content = json.loads(
        (args.out / 'data' / 'overlapped' / 'annotations.json').read_text()
    )
    pairs = {}
    for ann in content['annotations']:
        pairs.setdefault(ann['image_id'], []).append(ann)
    found = []
    for sample in load(file):
        poses, pair = sample['pred_instances'], pairs[sample['img_id']]
        ious = box_iou(poses['bboxes'][:1], annotated_boxes(pair))[0]
        if len(pair) < 2 or ious.max() < 0.6:
            continue
        pair = sorted(pair, key=lambda ann: ious[pair.index(ann)], reverse=True)
        alike = np.array([labelled_oks(poses['keypoints'], ann) for ann in pair])
        hits = (alike >= FOUND) & (alike == alike.max(axis=0))
        own, other = np.where(hits, 1.0, 0.0)
        second = [other[1], own[1]] if len(own) > 1 else [0.0, 0.0]
        found.append([own[0], other[0], 1 - own[0] - other[0], *second])
    return np.mean(found, axis=0).tolist()


def labelled_oks(poses, ann):
    """COCO's OKS of poses (N, 17, 2) with an annotated person, (N,)."""
    truth = np.reshape(ann['keypoints'], (17, 3))
    return oks(np.asarray(poses), truth[:, :2], ann['area'], labelled=truth[:, 2] > 0)
