"""What is checked of a stock config: see studies/stock_configs.py."""

import contextlib
import copy
import gc
import os
import re
import tempfile
import time
import traceback
import warnings
from pathlib import Path

from made_up_samples import undownloaded, with_made_up_data

# isort: split
import mmpose
import torch
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.runner import set_random_seed
from mmpose.evaluation.metrics import posetrack18_metric
from mmpose.registry import DATASETS, MODELS

from mipnet_mmpose import MIMB
from mipnet_mmpose.comparison.cost import Network, count_multiply_adds
from mipnet_mmpose.datasets.unwrap import stock_dataset_configs
from mipnet_mmpose.mipnetify import crop_size, mipnet_changes, mipnetify
from mipnet_mmpose.mipnetify.config_text import apply_changes, config_text
from mipnet_mmpose.mmpose_files import STOCK_CONFIGS
from mipnet_mmpose.models.mimb import map_features
from mipnet_mmpose.synthcrowd.dataset import end_with_parent

N = 2
TOLERANCE = 1e-5  # of the largest value, between lambda = 0 and the stock model


def start_worker():
    end_with_parent()
    warnings.filterwarnings('ignore')
    MMLogger.get_current_instance().setLevel('ERROR')
    init_default_scope('mmpose')
    torch.set_num_threads(1)
    # PyPI has no poseval; without it the metric cannot even be built
    posetrack18_metric.has_poseval = True


def cover(job):
    """Result of one config, a dict that json can write."""
    started = time.process_time()
    cfg = Config.fromfile(STOCK_CONFIGS / job['config'])
    result = dict(job, **describe(cfg))
    try:
        with tempfile.TemporaryDirectory() as folder, silence():
            for where in job['wheres']:
                set_random_seed(0)
                result[where] = check(job['config'], cfg, where, Path(folder))
                gc.collect()
                if where in job['warm']:
                    result[where]['lambda0'] = compare_lambda0(cfg, where)
                if where == 'backbone':
                    result[where]['cost'] = compare_cost(cfg)
                gc.collect()
        result['status'] = 'passed'
    except Exception as error:
        if isinstance(error, Refused):
            result.update(status='refused', reason=str(error))
        else:
            result.update(status='failed', reason=explain(error))
        if cfg.model.type == 'TopdownPoseEstimator':
            stock = stock_error(cfg)
            if stock is not None:
                reason = f'MMPose {mmpose.__version__} fails on it too, {stock}'
                result.update(status='failed in MMPose', reason=reason)
    result['seconds'] = round(time.process_time() - started, 1)
    return result


@contextlib.contextmanager
def silence():
    """xtcocotools prints."""
    with open(os.devnull, 'w') as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def explain(error):
    folder = re.escape(tempfile.gettempdir()) + r'\W\w+\W'
    text = re.sub(folder, '', str(error))
    line = traceback.extract_tb(error.__traceback__)[-1]
    place = f'{Path(line.filename).name}:{line.lineno}'
    return f'{type(error).__name__}: {text} ({place})'


def stock_error(cfg):
    """What goes wrong where the stock config itself trains one step and is tested."""
    try:
        with tempfile.TemporaryDirectory() as folder, silence():
            folder = Path(folder)
            dataset = with_made_up_data(cfg.train_dataloader.dataset, folder)
            dataset = DATASETS.build(dataset)
            samples = [dataset[i] for i in range(len(dataset))]
            model = MODELS.build(undownloaded(cfg.model))
            batch = model.data_preprocessor(pseudo_collate(samples[:2]), True)
            model(**batch, mode='loss')
            predict(model, cfg, folder)
    except Exception as error:
        return explain(error)


class Refused(ValueError):
    """tools/mipnetify.py does not take this config, and says why."""


def describe(cfg):
    model = cfg.model
    if model.type != 'TopdownPoseEstimator':
        return dict(family=model.type)
    metrics = cfg.val_evaluator
    metrics = metrics if isinstance(metrics, list) else [metrics]
    train = stock_dataset_configs(cfg.train_dataloader.dataset, 'dataset')
    decoder = model.head.get('decoder') or {}
    decoder = decoder if isinstance(decoder, list) else [decoder]
    return dict(
        family=type_of(model.backbone),
        neck_type=type_of(model.get('neck')),
        head=type_of(model.head),
        codec=decoder[-1].get('type'),
        datasets=sorted({part['type'] for _, part in train}),
        metrics=sorted({metric['type'] for metric in metrics}),
    )


def check(name, cfg, where, folder):
    try:
        changes = mipnet_changes(cfg, N, where)
    except ValueError as error:
        raise Refused(error) from error
    file = folder / f'{where}.py'
    file.write_text(config_text(f'mmpose::{name}', changes))
    mipnet = Config.fromfile(file)
    expect(
        unscoped(mipnet) == unscoped(apply_changes(cfg, changes)),
        'the written config is not what mipnetify() makes',
    )
    model = MODELS.build(undownloaded(mipnet.model))
    result = dict(lines=len(file.read_text().splitlines()))
    result['siblings'] = check_training(model, mipnet, folder)
    check_prediction(model, mipnet, folder)
    return result


def check_training(model, cfg, folder):
    """Train one step; the number of samples in which a second person is learnt."""
    dataset = DATASETS.build(with_made_up_data(cfg.train_dataloader.dataset, folder))
    dataset.full_init()
    samples = [dataset[i] for i in range(len(dataset))]
    targets = [s['data_samples'].gt_instances.target_instances[0] for s in samples]
    batch = model.data_preprocessor(pseudo_collate(samples[:2]), True)
    model.train()
    for _ in range(3):
        loss, _ = model.parse_losses(model(**copy.deepcopy(batch), mode='loss'))
        expect(bool(loss.isfinite()), f'the loss is {loss.item()}')
        loss.backward()
        idle = list(without_gradient(model))
        if not idle:
            break
        # a MIMB of few channels may be drawn with every hidden unit off: draw again
        for mimb, _ in idle:
            mimb.reset_parameters()
        model.zero_grad(set_to_none=True)
    expect(not idle, f'{", ".join(name for _, name in idle)} gets no gradient')
    model.zero_grad(set_to_none=True)
    return sum(len(set(target.tolist())) > 1 for target in targets)


def without_gradient(model):
    for name, mimb in model.named_modules():
        if isinstance(mimb, MIMB):
            for key, weight in mimb.named_parameters():
                if weight.grad is None or not weight.grad.any():
                    yield mimb, f'{name}.{key}'


def check_prediction(model, cfg, folder):
    for sample in predict(model, cfg, folder):
        poses = sample.pred_instances
        expect(poses.lambdas.tolist() == list(range(N)), 'the poses are not one per λ')
        for key in ('keypoints', 'keypoint_scores', 'bboxes', 'bbox_scores'):
            expect(len(poses[key]) == N, f'{key} has {len(poses[key])} rows')
        expect(bool((poses.keypoints == poses.keypoints).all()), 'a keypoint is NaN')


def predict(model, cfg, folder):
    """Poses of two boxes, which the config's evaluators take."""
    dataset = with_made_up_data(cfg.val_dataloader.dataset, folder)
    _, first = next(stock_dataset_configs(dataset, 'dataset'))
    ann_file = first['ann_file']
    dataset = DATASETS.build(dataset)
    batch = pseudo_collate([dataset[0], dataset[1]])
    model.eval()
    with torch.no_grad():
        samples = model.val_step(copy.deepcopy(batch))
    metrics = copy.deepcopy(cfg.val_evaluator)
    metrics = metrics if isinstance(metrics, list) else [metrics]
    for metric in metrics:
        if 'ann_file' in metric:
            metric['ann_file'] = ann_file
    evaluator = Evaluator(metrics)
    evaluator.dataset_meta = dataset.metainfo
    evaluator.process(samples, batch)
    if not any('PoseTrack18' in metric['type'] for metric in metrics):  # needs poseval
        found = evaluator.evaluate(len(dataset))
        expect(len(found) > 0, 'the evaluators give no metric')
    return samples


def compare_lambda0(cfg, where):
    """Largest difference of lambda = 0 from the stock model, of the largest value."""
    stock = MODELS.build(undownloaded(cfg.model))
    x = torch.randn(2, 3, *crop_size(cfg)[::-1])
    settle(stock, x)
    mipnet = mipnetify(cfg, N, where, init='identity')
    mipnet = MODELS.build(undownloaded(mipnet.model))
    keys = mipnet.load_state_dict(stock.state_dict(), strict=False)
    expect(not keys.unexpected_keys, f'{keys.unexpected_keys[:2]} of stock fit nowhere')
    missing = [key for key in keys.missing_keys if '.mimbs.' not in key]
    expect(not missing, f'{missing[:2]} are not filled from stock')
    difference = 0.0
    for ours, theirs in zip(outputs(mipnet, x), outputs(stock, x)):
        largest = theirs.abs().max()
        seen = (theirs[0] - theirs[1]).abs().max() / largest
        expect(seen > 1e-3, f'the stock model answers every crop alike ({seen:.1e})')
        error = ((ours[::N] - theirs).abs().max() / largest).item()
        expect(error <= TOLERANCE, f'lambda = 0 is {error:.1e} off the stock model')
        difference = max(difference, error)
    return difference


def settle(model, x):
    """Give batch norm statistics of its own, so that untrained layers pass crops on."""
    model.train()
    for module in model.modules():
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = None
    with torch.no_grad():
        model._forward(x)


def compare_cost(cfg):
    """Multiply-adds of the MIPNet over those of the stock model."""
    cost = []
    for config in (cfg, mipnetify(cfg, N, 'backbone')):
        network = Network(MODELS.build(undownloaded(config.model)).eval())
        image = torch.zeros(1, 3, *crop_size(cfg)[::-1])
        cost.append(count_multiply_adds(network, image))
        del network  # before the next is built: the largest take gigabytes
    return dict(stock=cost[0], mipnet=cost[1], ratio=round(cost[1] / cost[0], 3))


def outputs(model, x):
    model.eval()
    tensors = []
    with torch.no_grad():
        map_features(tensors.append, model._forward(x))
    return tensors


def unscoped(tree):
    """Without the scope that mmengine notes on what comes from 'mmpose::...'."""
    if isinstance(tree, Config):
        tree = tree.to_dict()
    if isinstance(tree, dict):
        return {k: unscoped(v) for k, v in tree.items() if k != '_scope_'}
    if isinstance(tree, (list, tuple)):
        return [unscoped(item) for item in tree]
    return tree


def expect(condition, message):
    if not condition:
        raise AssertionError(message)


def type_of(part):
    return part['type'].split('.')[-1] if part else '-'
