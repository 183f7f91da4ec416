"""Compare a MIPNet with its baseline on a test set: figures, curves and crops.

Each model predicts once for every box of its config's test_dataloader, as MMPose's
tools/test.py would; everything in the report is computed from these predictions. It
has AP, AP50, AP75 and AR of both, by how much people overlap and by how crowded the
images are, of each lambda alone and of the best lambda of each box; what is left as
boxes are withheld; the cost of both networks; and the crops where they differ most.
docs/compare.md says how each figure is made.

Writes DIR/report.md, report.json, *.png and predictions/*.pkl, and prints the path of
report.md.
"""

import argparse
import contextlib
import io
import json
import platform
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import torch
from export_onnx import check_weights
from mmengine import load
from mmengine.analysis import FlopAnalyzer
from mmengine.config import Config, DictAction
from mmengine.runner import Runner
from torch import nn

# before mmpose.evaluation, which mmcv-lite alone cannot import
# isort: split
from mipnet_mmpose.datasets.synthcrowd.scene import box_ious, crowd_index
from mipnet_mmpose.evaluation import (
    MultiInstanceCocoMetric,
    score_poses,
    suppress_poses,
)
from mipnet_mmpose.evaluation.coco_keypoint_eval import CocoKeypointEval
from mipnet_mmpose.visualization import COLORS, draw_poses

# isort: split
from mmpose.evaluation.metrics import CocoMetric

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
CROPS = 12
TIMING_BATCH, TIMING_ROUNDS = 8, 11


class CompareError(Exception):
    """What keeps two models from being compared, in a sentence."""


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    for name in ('baseline', 'mipnet'):
        parser.add_argument(
            f'--{name}',
            type=Path,
            nargs=2,
            required=True,
            metavar=('CONFIG', 'CKPT'),
        )
    parser.add_argument(
        '--data',
        type=Path,
        metavar='FOLDER',
        help='with annotations.json and images/, as tools/synthcrowd.py writes it, in '
        'place of the test set of the configs; ground-truth boxes',
    )
    parser.add_argument(
        '--boxes',
        type=Path,
        metavar='FILE',
        help="detected boxes (COCO's results format) in place of those of the configs",
    )
    parser.add_argument('-o', '--out', type=Path, required=True, metavar='DIR')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=DictAction,
        default={},
        help='override settings of both configs, key=value',
    )
    return parser.parse_args(argv)


def load_config(name, config, checkpoint, args):
    """A config whose test set is the one asked for."""
    for path in (config, checkpoint):
        if not path.is_file():
            raise CompareError(f'--{name}: {path} does not exist')
    cfg = Config.fromfile(config)
    dataset = cfg.test_dataloader.dataset
    while 'dataset' in dataset:
        dataset = dataset.dataset
    if args.data:
        ann_file, images = args.data / 'annotations.json', args.data / 'images'
        for path in (ann_file, images):
            if not path.exists():
                raise CompareError(f'--data: {path} does not exist')
        dataset.update(
            data_root='',
            ann_file=str(ann_file),
            data_prefix=dict(img=f'{images}/'),
            bbox_file=None,
        )
        for evaluator in evaluators(cfg):
            if 'ann_file' in evaluator:
                evaluator['ann_file'] = str(ann_file)
    if args.boxes:
        if not args.boxes.is_file():
            raise CompareError(f'--boxes: {args.boxes} does not exist')
        dataset.bbox_file = str(args.boxes)
    cfg.merge_from_dict(args.cfg_options)
    cfg.load_from, cfg.resume = str(checkpoint), False
    cfg.work_dir = str(args.out / 'logs' / name)
    return cfg


def evaluators(cfg):
    """The evaluators of a config, which may be one or a list."""
    found = cfg.test_evaluator
    return found if isinstance(found, (list, tuple)) else [found]


class TestRun:
    """A model's predictions for every box, and what MMPose's test says of them.

    Args:
        name (str): ``'baseline'`` or ``'mipnet'``.
        cfg (Config): with ``load_from``.
        folder (Path): for the saved predictions.

    Attributes:
        metric (CocoMetric): of the config, with its annotations.
        figures (dict): what tools/test.py of MMPose prints.
        model (nn.Module): the network, in eval mode.
        meta (dict): of the dataset.
        samples (list[dict]): saved predictions of B boxes, in the order of their ids.
        images (list): image ids of the boxes.
        boxes (np.ndarray): left, top, right, bottom in pixels, (B, 4).
        box_scores (np.ndarray): (B,).
        keypoints (np.ndarray): in pixels of the image, (B, N, K, 2).
        keypoint_scores (np.ndarray): (B, N, K).
        lambdas (np.ndarray): (N,).
    """

    def __init__(self, name, cfg, folder):
        file = folder / f'{name}.pkl'
        metrics = [*evaluators(cfg), dict(type='DumpResults', out_file_path=str(file))]
        cfg.test_evaluator = metrics
        runner = Runner.from_cfg(cfg)
        try:
            check_weights(runner.model, cfg.load_from)
        except Exception as error:  # a damaged file can raise anything
            raise CompareError(f'--{name}: {type(error).__name__}: {error}') from error
        self.figures = {key: float(value) for key, value in runner.test().items()}
        found = [
            metric
            for metric in runner.test_evaluator.metrics
            if isinstance(metric, CocoMetric)
        ]
        if not found or found[0].pred_converter is not None:
            raise CompareError(
                f"--{name}: the config's test_evaluator must be a CocoMetric without "
                f'pred_converter, it is {cfg.test_evaluator[0].type}'
            )
        self.metric = found[0]
        self.sigmas = np.asarray(self.metric.dataset_meta['sigmas'])
        self.model = runner.model.eval()
        self.meta = runner.test_dataloader.dataset.metainfo
        by_id = {}
        for sample in load(file):
            by_id.setdefault((sample['img_id'], sample['id']), sample)
        self.samples = [by_id[key] for key in sorted(by_id, key=lambda key: key[1])]
        poses = [sample['pred_instances'] for sample in self.samples]
        self.images = [sample['img_id'] for sample in self.samples]
        self.boxes = np.array([pose['bboxes'][0] for pose in poses])
        self.box_scores = np.array([pose['bbox_scores'][0] for pose in poses])
        self.keypoints = np.array([pose['keypoints'] for pose in poses])
        self.keypoint_scores = np.array([pose['keypoint_scores'] for pose in poses])
        num = self.keypoints.shape[1]
        self.lambdas = np.array(poses[0].get('lambdas', np.arange(num)))
        self.areas = np.array(
            [sample['gt_instances']['bbox_scales'].prod() for sample in self.samples]
        )

    def results(self, kept=None, choice=None):
        """The people of all images in COCO's results format, as the metric has them.

        Args:
            kept (np.ndarray, optional): which boxes are given, bool (B,). Defaults
                to all.
            choice (np.ndarray, optional): the one pose of each box that counts,
                (B,), with its own score. By default all N compete, with the decay.

        Returns:
            list[dict]: with the index of the box as ``box``.
        """
        metric = self.metric
        box = np.arange(len(self.images))
        box = box if kept is None else box[kept]
        if choice is None:
            num = len(self.lambdas)
            box, instance = np.repeat(box, num), np.tile(np.arange(num), len(box))
            lambdas = self.lambdas[instance]
        else:
            instance, lambdas = choice[box], np.zeros(len(box))
        if not len(box):
            return []
        keypoints = self.keypoints[box, instance]
        keypoint_scores = self.keypoint_scores[box, instance]
        scores = score_poses(
            keypoint_scores,
            self.box_scores[box],
            lambdas,
            metric.score_mode,
            metric.keypoint_score_thr,
            getattr(metric, 'score_decay', 1.0),
        )
        triplets = np.concatenate([keypoints, keypoint_scores[..., None]], axis=2)
        people = []
        for image, rows in group(self.images[b] for b in box).items():
            rows = rows[np.isfinite(triplets[rows]).all(axis=(1, 2))]
            best = suppress_poses(
                keypoints[rows],
                scores[rows],
                self.areas[box[rows]],
                self.sigmas,
                metric.nms_mode,
                metric.nms_thr,
            )
            for row in rows[best]:
                left, top, right, bottom = self.boxes[box[row]].tolist()
                people.append(
                    dict(
                        image_id=image,
                        category_id=int(self.samples[box[row]].get('category_id', 1)),
                        keypoints=triplets[row].ravel(),
                        score=float(scores[row]),
                        bbox=[left, top, right - left, bottom - top],
                        box=int(box[row]),
                    )
                )
        return people


def group(keys):
    """Indices of equal keys: {key: array}, in the order of their first."""
    groups = {}
    for index, key in enumerate(keys):
        groups.setdefault(key, []).append(index)
    return {key: np.array(indices) for key, indices in groups.items()}


def corners(bboxes):
    """Left, top, right, bottom of COCO's boxes."""
    boxes = np.array(bboxes, float).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)


class Truth:
    """The annotated people of the test set, and how close they are to one another.

    Attributes:
        people (dict): annotations by image id, without crowd regions.
        overlap (dict): annotation id → largest box IoU with another person.
        crowding (dict): image id → CrowdPose's crowd index.
    """

    def __init__(self, metric):
        self.coco = coco = metric.coco
        self.crowd = metric.iou_type == 'keypoints_crowd'
        self.people = {image: [] for image in coco.imgs}
        for ann in coco.anns.values():
            if not ann.get('iscrowd') and min(ann['bbox'][2:]) > 0:
                self.people[ann['image_id']].append(ann)
        self.overlap, self.crowding = {}, {}
        for image, people in self.people.items():
            boxes = corners([ann['bbox'] for ann in people])
            ious = box_ious(boxes, boxes)
            np.fill_diagonal(ious, 0)
            largest = ious.max(axis=1, initial=0)
            self.overlap.update(zip((ann['id'] for ann in people), largest))
            given = coco.imgs[image].get('crowdIndex')
            self.crowding[image] = crowd_index(people) if given is None else given

    def people_overlapping(self, low, high):
        """Ids of the people with labelled keypoints in a bin of overlap."""
        return {
            ann['id']
            for ann in self.labelled()
            if low <= self.overlap[ann['id']] < high
        }

    def images_of(self, low, high):
        """Ids of the images in a bin of crowding."""
        return {image for image, index in self.crowding.items() if low <= index < high}

    def labelled(self, images=None):
        """The people who count, of all images or some."""
        return [
            ann
            for image, people in self.people.items()
            if images is None or image in images
            for ann in people
            if self.counts(ann)
        ]

    def counts(self, ann):
        """Whether the evaluation looks for this person."""
        if self.crowd:
            return ann['num_keypoints'] > 0
        return any(v > 0 for v in ann['keypoints'][2::3])

    def owners(self, images, boxes):
        """The annotation of greatest IoU with each box, or None: B items."""
        owners = []
        for image, box in zip(images, boxes):
            people = self.people[image]
            ious = box_ious(box[None], corners([ann['bbox'] for ann in people]))[0]
            best = int(ious.argmax()) if len(ious) else 0
            owners.append(people[best] if len(ious) and ious[best] > 0 else None)
        return owners


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


class Network(nn.Module):
    """The network of a pose estimator: images in, output of the head out."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, images):
        return self.model(images, None, mode='tensor')


def measure_cost(runs):
    """Parameters, multiply-adds and milliseconds per crop of each network."""
    width, height = runs['MIPNet'].samples[0]['input_size']
    device = next(runs['MIPNet'].model.parameters()).device
    networks = {name: Network(run.model) for name, run in runs.items()}
    images = torch.randn(TIMING_BATCH, 3, height, width, device=device)
    costs, times = {}, {name: [] for name in runs}
    for name, network in networks.items():
        flops = FlopAnalyzer(network, images[:1])  # counts multiply-adds
        flops.unsupported_ops_warnings(False).uncalled_modules_warnings(False)
        costs[name] = dict(
            parameters=sum(p.numel() for p in network.parameters()),
            multiply_adds=flops.total(),
        )
    with torch.no_grad():
        for _ in range(TIMING_ROUNDS + 2):
            for name, network in networks.items():
                start = time.perf_counter()
                network(images)
                if device.type == 'cuda':
                    torch.cuda.synchronize()
                times[name].append(time.perf_counter() - start)
    for name in runs:
        per_crop = np.median(times[name][2:]) / TIMING_BATCH  # after two to warm up
        costs[name]['milliseconds'] = float(per_crop) * 1000
    if device.type == 'cuda':
        machine = torch.cuda.get_device_name()
    else:
        machine = f'{platform.machine()} CPU, {torch.get_num_threads()} threads'
    settings = dict(machine=machine, batch=TIMING_BATCH, rounds=TIMING_ROUNDS)
    return dict(settings, size=[width, height], models=costs)


def differing_people(truth, runs):
    """Where the models differ most: the person, the box that shows it, both OKS.

    A person's OKS is that of the most similar pose of any box of the image. The box
    is that of this pose, of the model that did better.

    Returns:
        list[dict]: greatest difference first, at most one of an image.
    """
    found = []
    for image, boxes in group(runs['MIPNet'].images).items():
        for ann in truth.labelled({image}):
            person = dict(person=ann['id'])
            best = {}
            for name, run in runs.items():
                oks = similarity(run.keypoints[boxes], ann, run).max(axis=1)
                best[name] = boxes[oks.argmax()]
                person[name] = float(oks.max())
            better = max(runs, key=lambda name: person[name])
            found.append(dict(person, box=int(best[better])))
    found.sort(key=lambda p: -abs(p['MIPNet'] - p['baseline']))
    images, unique = set(), []
    for person in found:
        image = truth.coco.anns[person['person']]['image_id']
        if image not in images:
            images.add(image)
            unique.append(dict(person, image=truth.coco.imgs[image]['file_name']))
    return unique[:CROPS]


def draw_crops(path, truth, runs, people, height=192, bar=24, header=28):
    """The crops side by side: truth, the baseline's pose, MIPNet's for each λ."""
    mipnet = runs['MIPNet']
    skeleton = mipnet.meta['skeleton_links']
    aspect = np.divide(*mipnet.samples[0]['input_size'])
    width = round(height * aspect)
    titles = ['truth', 'baseline'] + [f'lambda {v:g}' for v in mipnet.lambdas]
    strips = []
    for person in people:
        sample = mipnet.samples[person['box']]
        area = np.array(sample['input_scale'])
        corner = np.array(sample['input_center']) - area / 2
        zoom = np.array([width, height]) / area
        matrix = np.c_[np.diag(zoom), -zoom * corner]
        image = cv2.imread(sample['img_path'])
        crop = cv2.warpAffine(image, matrix, (width, height), flags=cv2.INTER_LINEAR)

        def drawn(keypoints, visible, colors, crop=crop, corner=corner, zoom=zoom):
            keypoints = (np.array(keypoints) - corner) * zoom
            image = draw_poses(
                crop, keypoints, np.array(visible), skeleton, colors, radius=2
            )
            return cv2.copyMakeBorder(image, *[0, 0, 0, 4], 0, value=[255] * 3)

        anns = truth.labelled({sample['img_id']})
        anns.sort(key=lambda ann: ann['id'] != person['person'])  # first lies on top
        joints = np.array([ann['keypoints'] for ann in anns]).reshape(len(anns), -1, 3)
        seen = np.array([0, 0.2, 1])[joints[..., 2].astype(int)]  # hidden: hollow
        colors = [COLORS[2]] + [(170, 170, 170)] * len(anns)
        cells = [drawn(joints[..., :2], seen, colors)]
        shown = [('baseline', 0, COLORS[4])]
        shown += [('MIPNet', i, COLORS[i % 4]) for i in range(len(mipnet.lambdas))]
        for name, i, color in shown:
            run, box = runs[name], person['box']
            cells.append(
                drawn(run.keypoints[box, [i]], run.keypoint_scores[box, [i]], [color])
            )
        strip = np.full((bar, (width + 4) * len(cells), 3), 255, np.uint8)
        text = f'{person["image"]}: OKS {person["baseline"]:.2f} -> '
        write(strip, f'{text}{person["MIPNet"]:.2f}', (2, bar - 7))
        strips.append(np.vstack([strip, np.hstack(cells)]))
    if not strips:
        return False
    head = np.full((header, strips[0].shape[1], 3), 255, np.uint8)
    for i, title in enumerate(titles):
        write(head, title, (i * (width + 4) + 2, header - 8), 0.6)
    half = (len(strips) + 1) // 2
    strips += [np.full_like(strips[0], 255)] * (2 * half - len(strips))
    columns = [np.vstack([head, *strips[:half]]), np.vstack([head, *strips[half:]])]
    gap = np.full((len(columns[0]), 16, 3), 255, np.uint8)
    cv2.imwrite(str(path), np.hstack([columns[0], gap, columns[1]]))
    return True


def write(image, text, place, size=0.5):
    cv2.putText(
        image, text, place, cv2.FONT_HERSHEY_SIMPLEX, size, (30, 30, 30), 1, cv2.LINE_AA
    )


def rgb(bgr):
    return tuple(value / 255 for value in bgr[::-1])


def model_styles(models):
    """How plots show each model: the λ in the colours of the crops."""
    styles = {}
    for i, name in enumerate(models):
        color = rgb(COLORS[(i - 2) % 4])
        styles[name] = dict(color=color, edgecolor='none')
    styles['baseline'] = dict(color='#9a9a9a', edgecolor='none')
    styles['MIPNet'] = dict(color='#202020', edgecolor='none')
    styles[models[-1]] = dict(color='white', edgecolor='#202020', hatch='///')
    return styles


def plot_bins(path, table, xlabel):
    """AP of each model in each bin, as bars."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    table = {name: row for name, row in table.items() if row['people']}
    models = [name for name in next(iter(table.values())) if name != 'people']
    styles = model_styles(models)
    figure, axes = pyplot.subplots(figsize=(8, 3.6), layout='constrained')
    width = 0.84 / len(models)
    for i, model in enumerate(models):
        heights = [100 * row[model]['AP'] for row in table.values()]
        places = np.arange(len(table)) + (i - (len(models) - 1) / 2) * width
        bars = axes.bar(places, heights, width * 0.92, label=model, **styles[model])
        axes.bar_label(bars, fmt='%.1f', padding=1, fontsize=8)
    axes.set_xticks(
        np.arange(len(table)),
        [f'{name}\n{row["people"]} people' for name, row in table.items()],
    )
    axes.set_xlabel(xlabel)
    axes.set_ylabel('AP')
    axes.margins(y=0.12)
    axes.spines[['top', 'right']].set_visible(False)
    figure.legend(loc='outside upper center', ncols=len(models), frameon=False)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


CURVES = {
    'score': 'box score threshold',
    'nms': 'IoU of box NMS (stricter to the right)',
}


def plot_curves(path, curves):
    """AP and AR as boxes are withheld."""
    import matplotlib

    matplotlib.use('Agg')
    from matplotlib import pyplot

    kinds = [kind for kind in CURVES if kind in curves]
    figure, grid = pyplot.subplots(
        len(kinds),
        2,
        figsize=(8, 3.1 * len(kinds)),
        layout='constrained',
        squeeze=False,
    )
    lines = {}
    for row, kind in zip(grid, kinds):
        points = curves[kind]
        for axes, name in zip(row, ('AP', 'AR')):
            for model, color in (('MIPNet', '#202020'), ('baseline', '#9a9a9a')):
                values = [100 * (point[model][name] or 0) for point in points]
                (lines[model],) = axes.plot(
                    [point['threshold'] for point in points],
                    values,
                    marker='o',
                    markersize=4,
                    linewidth=2,
                    color=color,
                )
            if kind == 'nms':
                axes.invert_xaxis()
            axes.set_xlabel(CURVES[kind])
            axes.set_ylabel(name)
            axes.set_ymargin(0.1)
            axes.set_ylim(bottom=0)
            axes.grid(alpha=0.3)
            axes.spines[['top', 'right']].set_visible(False)
    figure.legend(
        lines.values(), lines, loc='outside upper center', ncols=2, frameon=False
    )
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def percent(value):
    return '–' if value is None else f'{100 * value:.1f}'


def markdown_table(header, rows):
    lines = ['| ' + ' | '.join(header) + ' |']
    lines.append('| --- |' + ' ---: |' * (len(header) - 1))
    lines += ['| ' + ' | '.join(map(str, row)) + ' |' for row in rows]
    return '\n'.join(lines)


def bins_section(title, column, text, table, picture):
    """Figures by bin: both models side by side, then AP of each λ."""
    models = [name for name in next(iter(table.values())) if name != 'people']
    header = [column, 'people']
    header += [f'{name} {metric}' for metric in METRICS for name in models[:2]]
    rows = [
        [name, row['people']]
        + [percent(row[model][metric]) for metric in METRICS for model in models[:2]]
        for name, row in table.items()
    ]
    alone = [
        [name, row['people'], *(percent(row[model]['AP']) for model in models)]
        for name, row in table.items()
    ]
    return [
        f'## {title}',
        text,
        f'![{title}]({picture})',
        markdown_table(header, rows),
        'AP of each λ:',
        markdown_table([*header[:2], *models], alone),
    ]


def write_report(folder, report, has_crops):
    """report.md beside the pictures."""
    tables, test = report['tables'], report['test']
    models = [name for name in tables['all']['all'] if name != 'people']
    parts = ['# Baseline and MIPNet']
    parts.append(
        '\n'.join(
            f'- {name}: `{used["config"]}`, `{used["checkpoint"]}`'
            for name, used in test['models'].items()
        )
        + f'\n- test set: `{test["ann_file"]}`, {test["images"]} images, '
        f'{tables["all"]["all"]["people"]} people'
        f'\n- boxes: {test["boxes"]}, {test["box_source"]}'
    )
    parts.append('## All people')
    parts.append(
        markdown_table(
            ['model', *METRICS],
            [
                [name, *(percent(tables['all']['all'][name][m]) for m in METRICS)]
                for name in models
            ],
        )
    )
    parts.append(
        'The first two rows are what `tools/test.py` of MMPose prints. The last one is '
        'an upper bound for one pose per box: that of the λ whose pose is most like '
        "the box's person. MIPNet itself may give a box several people."
    )
    parts += bins_section(
        'By overlap',
        'box IoU',
        'People by their largest box IoU with another person; in each bin the others '
        'are regions to ignore.',
        tables['overlap'],
        'overlap.png',
    )
    parts += bins_section(
        'By crowding',
        'crowd index',
        "Images by CrowdPose's crowd index.",
        tables['crowding'],
        'crowding.png',
    )
    parts += ['## Fewer boxes', '![AP and AR with fewer boxes](boxes.png)']
    for kind, label in CURVES.items():
        if kind not in report['curves']:
            parts.append('All boxes have the same score: there is no score curve.')
            continue
        names = ('baseline', 'MIPNet')
        header = [label.split(' (')[0], 'boxes']
        header += [f'{name} {metric}' for metric in ('AP', 'AR') for name in names]
        rows = [
            [f'{point["threshold"]:g}', point['boxes']]
            + [percent(point[name][m]) for m in ('AP', 'AR') for name in names]
            for point in report['curves'][kind]
        ]
        parts.append(markdown_table(header, rows))
    cost = report['cost']
    base = cost['models']['baseline']
    units = {'parameters': (1e6, 'M'), 'multiply_adds': (1e9, 'G')}
    rows = []
    for name, values in cost['models'].items():
        row = [name]
        for key, value in values.items():
            scale, unit = units.get(key, (1, 'ms'))
            ratio = f' ({value / base[key]:.3f} ×)' if values is not base else ''
            row.append(f'{value / scale:.2f} {unit}{ratio}')
        rows.append(row)
    parts.append('## Cost')
    parts.append(markdown_table(['model', 'parameters', 'multiply-adds', 'crop'], rows))
    parts.append(
        f'Crops of {cost["size"][0]}×{cost["size"][1]}; the networks alone, in turn, '
        f'{cost["batch"]} crops at a time, median of {cost["rounds"]} runs '
        f'({cost["machine"]}).'
    )
    if has_crops:
        parts.append('## Where they differ most')
        parts.append(
            f'{len(report["crops"])} crops, of one image each. The person meant is '
            'green in the truth; the figures are the OKS of the pose most like it, '
            'baseline → MIPNet.'
        )
        parts.append('![Crops side by side](crops.png)')
    (folder / 'report.md').write_text('\n\n'.join(parts) + '\n', encoding='utf-8')


def check_comparable(baseline, mipnet):
    """That both models were tested on the same boxes and keypoints."""
    if not isinstance(mipnet.metric, MultiInstanceCocoMetric):
        raise CompareError("--mipnet: the config's test_evaluator keeps one pose a box")
    if baseline.keypoints.shape[1] != 1:
        raise CompareError('--baseline: the model gives several poses per box')
    if baseline.images != mipnet.images or not np.array_equal(
        baseline.boxes, mipnet.boxes
    ):
        raise CompareError(
            f'the configs test on different boxes ({len(baseline.images)} and '
            f'{len(mipnet.images)}): give --data, --boxes or --cfg-options'
        )
    if not np.array_equal(baseline.sigmas, mipnet.sigmas):
        raise CompareError('the configs test on different keypoints')


def compare(args):
    """Test both models, compute the report and write it."""
    args.out = args.out.resolve()
    folder = args.out / 'predictions'
    folder.mkdir(parents=True, exist_ok=True)
    paths = {'baseline': args.baseline, 'MIPNet': args.mipnet}
    configs = {n: load_config(n.lower(), *p, args) for n, p in paths.items()}
    runs = {n: TestRun(n.lower(), cfg, folder) for n, cfg in configs.items()}
    mipnet = runs['MIPNet']
    check_comparable(runs['baseline'], mipnet)
    truth = Truth(mipnet.metric)
    owners = truth.owners(mipnet.images, mipnet.boxes)
    print('evaluating', flush=True)
    tables = tabulate(truth, *runs.values(), owners)
    check_figures(tables['all']['all'], runs)
    dataset = configs['MIPNet'].test_dataloader.dataset
    test = dict(
        models={
            name: dict(config=str(c), checkpoint=str(p), figures=runs[name].figures)
            for name, (c, p) in paths.items()
        },
        ann_file=str(mipnet.metric.ann_file or dataset.get('ann_file')),
        images=len(truth.people),
        boxes=len(mipnet.images),
        box_source=dataset.get('bbox_file') or 'ground truth',
    )
    report = dict(
        test=test,
        tables=tables,
        curves=withhold_boxes(truth, runs, owners),
        cost=measure_cost(runs),
        crops=differing_people(truth, runs),
    )
    plot_bins(
        args.out / 'overlap.png', tables['overlap'], 'box IoU with another person'
    )
    plot_bins(args.out / 'crowding.png', tables['crowding'], 'crowd index of the image')
    plot_curves(args.out / 'boxes.png', report['curves'])
    has_crops = draw_crops(args.out / 'crops.png', truth, runs, report['crops'])
    text = json.dumps(report, indent=1, ensure_ascii=False)
    (args.out / 'report.json').write_text(text + '\n', encoding='utf-8')
    write_report(args.out, report, has_crops)
    return args.out / 'report.md'


def main(argv=None):
    args = parse_args(argv)
    try:
        path = compare(args)
    except CompareError as error:
        sys.exit(f'error: {error}')
    print(path)


if __name__ == '__main__':
    main()
