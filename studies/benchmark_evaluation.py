"""What the benchmark measures without a network: OKS-NMS and the metric."""

import itertools
import json
import tempfile
from functools import partial
from pathlib import Path

from benchmark_networks import BASELINE, TWO, compare

# isort: split
import numpy as np
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.evaluation.functional.nms import oks_nms as stock_oks_nms
from mmpose.registry import METRICS

from mipnet_mmpose.evaluation import oks_nms


def nms(args):
    """200 poses of one image: 100 boxes, every second one finds its person twice."""
    rng = np.random.default_rng(0)
    keypoints = rng.uniform(0, 640, (200, 17, 2)).astype('f4')
    keypoints[1::4] = keypoints[::4] + rng.normal(0, 1, (50, 17, 2))
    scores, areas = rng.uniform(0, 1, 200), rng.uniform(5e3, 5e4, 200)
    persons = [
        dict(keypoints=np.c_[k, np.ones(17)].astype('f4'), score=s, area=a)
        for k, s, a in zip(keypoints, scores, areas)
    ]
    calls = {
        BASELINE: partial(stock_oks_nms, persons, 0.9),
        TWO: partial(oks_nms, keypoints, scores, areas, 0.9),
    }
    kept = [call().tolist() for call in calls.values()]
    if kept[0] != kept[1]:
        raise AssertionError(f'other persons are kept: {kept[0]}, {kept[1]}')
    return {'200 poses': dict(compare(calls, args), kept=len(kept[0]))}


def metric(args, boxes=20, instances=2):
    """Two people an image; the boxes are about them, both poses too."""
    rng = np.random.default_rng(0)
    images = args.metric_images
    corners = rng.uniform(0, 200, (images, 2, 1, 2))
    people = corners + rng.uniform(0, 200, (images, 2, 17, 2))
    chosen = rng.integers(0, 2, (images, boxes * instances))
    poses = people[np.arange(images)[:, None], chosen]
    poses += rng.normal(0, 1, poses.shape) * rng.uniform(0, 40, (*chosen.shape, 1, 1))
    poses = poses.astype('f4').reshape(images, boxes, instances, 17, 2)
    scores = rng.uniform(0, 1, poses.shape[:-1]).astype('f4')
    box_scores = rng.uniform(0, 1, (images, boxes)).astype('f4')

    def samples(rows):
        """As the model gives them, with that many poses each."""
        box_ids = itertools.count()
        shape = (-1, rows, 17)
        for i in range(images):
            repeated = box_scores[i].repeat(instances).reshape(-1, rows)
            for keypoints, scores_, box_score in zip(
                poses[i].reshape(*shape, 2), scores[i].reshape(shape), repeated
            ):
                pred = dict(keypoints=keypoints, keypoint_scores=scores_)
                pred['bbox_scores'] = box_score
                gt = dict(bbox_scales=np.array([[200, 200]], 'f4'))
                yield dict(
                    id=next(box_ids), img_id=i, pred_instances=pred, gt_instances=gt
                )

    meta = parse_pose_metainfo(dict(from_file='configs/_base_/datasets/coco.py'))
    with tempfile.TemporaryDirectory() as folder:
        ann_file = str(Path(folder, 'annotations.json'))
        Path(ann_file).write_text(json.dumps(annotations(people)))
        calls = {}
        for name, rows in ((BASELINE, 1), (TWO, instances)):
            cfg = dict(type='CocoMetric' if rows == 1 else 'MultiInstanceCocoMetric')
            evaluator = METRICS.build(dict(cfg, ann_file=ann_file))
            evaluator.dataset_meta = dict(meta)
            calls[name] = partial(evaluate, evaluator, list(samples(rows)))
        result = compare(calls, args, rounds=1)
    return {f'{images} images x {boxes} boxes': result}


def evaluate(evaluator, samples):
    evaluator.process([], samples)
    return evaluator.evaluate(len(samples))


def annotations(people):
    """COCO's, of people (I, P, 17, 2)."""
    found = []
    for image_id, poses in enumerate(people):
        for pose in poses:
            left, top = pose.min(axis=0).tolist()
            width, height = np.ptp(pose, axis=0).tolist()
            found.append(
                dict(
                    id=len(found),
                    image_id=image_id,
                    category_id=1,
                    iscrowd=0,
                    bbox=[left, top, width, height],
                    area=width * height,
                    num_keypoints=17,
                    keypoints=np.c_[pose, np.full(17, 2)].ravel().tolist(),
                )
            )
    records = [dict(id=i, width=640, height=480) for i in range(len(people))]
    return dict(
        images=records, annotations=found, categories=[dict(id=1, name='person')]
    )


OTHER_PARTS = dict(nms=nms, metric=metric)
