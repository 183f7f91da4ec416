"""What the study on photographs measures of a network."""

import contextlib
import io
import json

import numpy as np
from mmpose.apis import init_model
from xtcocotools.coco import COCO
from xtcocotools.cocoeval import COCOeval

from mipnet_mmpose import estimate_poses
from mipnet_mmpose.evaluation.boxes import annotated_boxes, box_iou, box_nms
from mipnet_mmpose.evaluation.merge_poses import merge_poses, merge_settings
from mipnet_mmpose.evaluation.oks import COCO_SIGMAS, oks
from mipnet_mmpose.models.heads.presence import MARGIN, pose_evidence

FOUND = 0.5  # least OKS
CROWDED, PAIR = 0.5, 0.3  # least box IoU
BOX_NMS = (0.6, 0.45, 0.3)
DETECTOR = '.mim/demo/mmdetection_cfg/rtmdet_nano_320-8xb32_coco-person.py'
LONE_TWICE = 0.02  # what the bias of presence is set by


class TestSet:
    """Annotated photographs.

    Args:
        ann_file (Path): COCO file.
        folder (Path): of its images.
        limit (int, optional): of the photographs.
        lone (bool): Those of one person alone.
    """

    def __init__(self, ann_file, folder, limit=None, lone=False):
        with contextlib.redirect_stdout(io.StringIO()):
            self.coco = COCO(str(ann_file))
        ids = sorted(self.coco.imgs)
        if lone:
            ids = [i for i in ids if len(self.coco.imgToAnns[i]) == 1]
        self.ids = ids[:limit]
        self.paths = [str(folder / self.coco.imgs[i]['file_name']) for i in self.ids]
        self.people = [self.coco.imgToAnns[i] for i in self.ids]
        self.boxes = [annotated_boxes(anns) for anns in self.people]
        self.ious = [box_iou(boxes, boxes) - np.eye(len(boxes)) for boxes in self.boxes]

    def poses(self, model, boxes=None):
        """All poses of all boxes of each image, boxes as annotated by default."""
        boxes = self.boxes if boxes is None else boxes
        return estimate_poses(model, self.paths, boxes, nms_mode='none')


def merged(poses, merge):
    """The people of an image by a config's settings: places of the poses, scores."""
    extent = poses['bboxes'][:, 2:] - poses['bboxes'][:, :2]
    return merge_poses(
        poses['keypoints'],
        poses['keypoint_scores'],
        poses['bbox_scores'],
        poses['lambdas'],
        (extent * MARGIN).prod(axis=1),
        presence=poses.get('presence'),
        **merge,
    )


def alike(poses, ann):
    """OKS of poses (P, K, 2) with an annotated person, (P,)."""
    truth = np.reshape(ann['keypoints'], (-1, 3))
    seen = truth[:, 2] > 0
    return oks(poses.compress(seen, 1), truth[seen, :2], ann['area'], COCO_SIGMAS[seen])


def found(poses, people, merge):
    """Which annotated persons the merged people find, each of them one at most."""
    kept, _ = merged(poses, merge)
    similar = np.array([alike(poses['keypoints'][kept], ann) for ann in people])
    taken = np.zeros(len(people), bool)
    for column in similar.T:  # best score first
        column = np.where(taken, 0, column)
        if len(column) and column.max() >= FOUND:
            taken[column.argmax()] = True
    return taken


def average_precision(tests, poses, merge):
    """COCO's AP of the merged people."""
    results = []
    for image_id, each in zip(tests.ids, poses):
        kept, scores = merged(each, merge)
        for i, score in zip(kept, scores[kept]):
            row = np.column_stack([each['keypoints'][i], each['keypoint_scores'][i]])
            results.append(
                dict(
                    image_id=image_id,
                    category_id=1,
                    keypoints=row.ravel().tolist(),
                    score=float(score),
                )
            )
    with contextlib.redirect_stdout(io.StringIO()):
        evaluation = COCOeval(tests.coco, tests.coco.loadRes(results), 'keypoints')
        evaluation.params.imgIds = tests.ids
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return float(evaluation.stats[0])


def found_by_one_box(tests, poses, merge):
    """Of the boxes of real pairs: which find both people by two poses."""
    return [
        both_found(shown(each, own, merge), (people[own], people[other]))
        for people, ious, each in zip(tests.people, tests.ious, poses)
        for own, other in np.argwhere(ious > PAIR)
    ]


def shown(poses, box, merge):
    """The poses of one box that pass the threshold of presence."""
    presence = poses.get('presence', np.ones(len(poses['lambdas'])))
    chosen = presence >= merge['presence_thr']
    chosen &= poses['box_indices'] == box
    return {key: rows[chosen] for key, rows in poses.items()}


def both_found(poses, pair):
    """Whether each person of a pair is found, by a pose of its own."""
    first, second = (alike(poses['keypoints'], ann) >= FOUND for ann in pair)
    return bool((first[:, None] & second & ~np.eye(len(first), dtype=bool)).any())


def figures(args, cfg, checkpoint, name):
    """All figures of a network on the photographs of a file.

    Returns:
        dict: shares in 0 … 1, and how many there are of each.
    """
    model = init_model(cfg, str(checkpoint), device=args.device)
    tests = TestSet(args.out / f'{name}.json', args.data / 'images', args.limit)
    poses = tests.poses(model)
    merge = merge_settings(cfg)

    def taken_of(people, poses):
        return [found(*each, merge) for each in zip(poses, people)]

    taken = taken_of(tests.people, poses)
    crowded = [i for i, ious in enumerate(tests.ious) if (ious > CROWDED).any()]
    lone = [i for i, people in enumerate(tests.people) if len(people) == 1]
    pairs = [(ious > PAIR).any(axis=1) for ious in tests.ious]
    result = dict(
        persons=sum(map(len, taken)),
        AP=average_precision(tests, poses, merge),
        crowded_AR50=share([taken[i] for i in crowded]),
        crowded_images=len(crowded),
        both=share([found_by_one_box(tests, poses, merge)]),
        pair_boxes=int(sum((ious > PAIR).sum() for ious in tests.ious)),
        lone_twice=share([[len(merged(poses[i], merge)[0]) > 1 for i in lone]]),
        lone=len(lone),
        pair_people=share([t[p] for t, p in zip(taken, pairs)]),
    )
    detected = detections(args, tests, name)
    for threshold in BOX_NMS:
        boxes = [b[box_nms(b[:, :4], b[:, 4], threshold)] for b in detected]
        seen = tests.poses(model, boxes)
        taken = taken_of(tests.people, seen)
        result[f'detected_{threshold}'] = share([t[p] for t, p in zip(taken, pairs)])
    folder = args.out / f'{name}_pairs'
    pasted = TestSet(folder / 'annotations.json', folder / 'images')
    front = [boxes[[in_front(p)]] for p, boxes in zip(pasted.people, pasted.boxes)]
    taken = taken_of(pasted.people, pasted.poses(model, front))
    return dict(result, front_AR50=share(taken), pasted=len(front))


def in_front(people):
    return [ann['in_front'] for ann in people].index(True)


def share(parts):
    values = np.concatenate([np.asarray(part, bool) for part in parts] or [[]])
    return float(values.mean()) if len(values) else 0.0


def detections(args, tests, name):
    """Boxes of RTMDet-nano: left, top, right, bottom, score, of each image."""
    path = args.out / f'{name}_detections.json'
    if not path.exists():
        import mmpose
        from mmdet.apis import inference_detector, init_detector
        from mmengine.config import Config
        from mmengine.registry import init_default_scope

        cfg = Config.fromfile(f'{mmpose.__path__[0]}/{DETECTOR}')
        cfg.model.test_cfg.nms.iou_threshold = max(BOX_NMS)
        weights = args.weights / 'rtmdet_nano_person.pth'
        detector = init_detector(cfg, str(weights), device=args.device)
        rows = []
        for image in tests.paths:
            boxes = inference_detector(detector, image).pred_instances.cpu().numpy()
            boxes = boxes[boxes.scores > 0.3]
            rows.append(np.column_stack([boxes.bboxes, boxes.scores]).tolist())
        path.write_text(json.dumps(rows))
        init_default_scope('mmpose')
    return [np.reshape(row, (-1, 5)) for row in json.loads(path.read_text())]


def fit_presence(args, cfg, checkpoint):
    """The weights of presence, by the poses on the photographs held out.

    A logistic regression, for which photographs and pasted pairs count alike: is the
    pose of λ = 1 somebody whom λ = 0 does not find? The bias is set so that 2 % of the
    lone persons of the training photographs are drawn twice at the shipped threshold.

    Returns:
        dict: the arguments of :class:`Presence`.
    """
    model = init_model(cfg, str(checkpoint), device=args.device)
    folder = args.out / 'held_out_pairs'
    rows, targets, weights = [], [], []
    for ann_file, images in (
        (args.out / 'held_out.json', args.data / 'images'),
        (folder / 'annotations.json', folder / 'images'),
    ):
        tests = TestSet(ann_file, images, args.limit)
        start = len(rows)
        for people, each in zip(tests.people, tests.poses(model)):
            for box in np.unique(each['box_indices']):
                chosen = each['box_indices'] == box
                told, new = evidence_of({k: v[chosen] for k, v in each.items()}, people)
                rows.append(told)
                targets.append(new)
        weights += [1 / (len(rows) - start)] * (len(rows) - start)
    fitted = logistic_regression(np.array(rows), np.array(targets), np.array(weights))
    tests = TestSet(
        args.out / args.train[0], args.data / 'images', args.limit, lone=True
    )
    told = [evidence_of(*each)[0] for each in zip(tests.poses(model), tests.people)]
    threshold = merge_settings(cfg)['presence_thr']
    fitted[-1] += np.log(threshold / (1 - threshold))
    fitted[-1] -= np.quantile(np.array(told) @ fitted, 1 - LONE_TWICE)
    return dict(zip(('score', 'oks', 'bias'), fitted.round(2).tolist()))


def evidence_of(poses, people):
    """What the two poses of a box tell (3,), and whether the second is a new person."""
    extent = poses['bboxes'][0, 2:] - poses['bboxes'][0, :2]
    width, height = max(extent[0], extent[1] * 0.75), max(extent[1], extent[0] / 0.75)
    told = pose_evidence(
        poses['keypoints'], poses['keypoint_scores'], poses['lambdas'], width * height
    )[:, 1]
    similar = np.array([alike(poses['keypoints'], ann) for ann in people])
    similar[similar[:, 0].argmax(), 1] = 0  # the person of λ = 0
    return [*told, 1], similar[:, 1].max() >= FOUND


def logistic_regression(rows, targets, weights, steps=30, ridge=1e-5):
    """Weights (F,) of the features, by Newton's method."""
    weights = weights / weights.sum()
    fitted = np.zeros(rows.shape[1])
    for _ in range(steps):
        p = 1 / (1 + np.exp(-rows @ fitted))
        gradient = rows.T @ (weights * (p - targets)) + ridge * fitted
        hessian = (rows.T * (weights * p * (1 - p))) @ rows
        fitted -= np.linalg.solve(hessian + ridge * np.eye(len(fitted)), gradient)
    return fitted


COLUMNS = {
    'AP': 'everybody, AP',
    'crowded_AR50': 'images with boxes over IoU 0.5, AR50',
    'both': 'boxes of real pairs, both people by two poses',
    'lone_twice': 'lone persons, drawn twice',
    'front_AR50': "pasted pairs, front person's box, AR50",
    'detected_0.6': 'RTMDet-nano, box NMS 0.6: people of real pairs',
    'detected_0.45': 'box NMS 0.45',
    'detected_0.3': "box NMS 0.3, the demo's",
}


def table(runs):
    """A row a network, on the test photographs, per cent."""
    lines = ['| network | ' + ' | '.join(COLUMNS.values()) + ' |']
    lines.append('| --- |' + ' ---: |' * len(COLUMNS))
    for name, line in runs.items():
        cells = [f'{100 * line["test"][key]:.1f}' for key in COLUMNS]
        lines.append(f'| {name} | ' + ' | '.join(cells) + ' |')
    return '\n'.join(lines) + '\n'


def choose(runs):
    """Which seed of MIPNet is the better one, on the photographs held out."""
    seeds = {n: r['held_out']['both'] for n, r in runs.items() if 'mipnet' in n}
    if not seeds:
        return ''
    best = max(seeds, key=seeds.get)
    held = ', '.join(f'{name} {100 * value:.1f}' for name, value in seeds.items())
    return f'\nHeld out, both people of real pairs: {held}. Chosen: {best}.\n'
