"""Make a MIPNet of every stock top-down config of MMPose and see that it works.

For each 2D config with a TopdownPoseEstimator the config of mipnet mipnetify is written
and loaded and the model built, untrained. Made-up people go through the config's own
training pipeline; a training step must give a finite loss, and every weight of every
MIMB a gradient. The test path must give N poses per box, and the config's evaluators
must take them. All of it with the MIMBs behind the backbone; for the first config of an
architecture once more with the MIMBs inside, where also the multiply-adds are counted,
and where lambda = 0 of a warm start must answer what the stock model answers.

Appends a line of each config to OUT, a CSV file, and skips those that are in it.
"""

import argparse
import contextlib
import copy
import csv
import io
import multiprocessing
import re
import sys
import tempfile
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import mipnet_mmpose  # noqa: F401 (before mmpose.models)

# isort: split
import torch
from made_up_samples import stock_datasets, with_made_up_people
from mmengine.config import Config
from mmengine.dataset import pseudo_collate
from mmengine.evaluator import Evaluator
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from mmengine.runner import set_random_seed
from mmpose.evaluation.metrics import posetrack18_metric
from mmpose.registry import DATASETS, MODELS
from tqdm import tqdm

from mipnet_mmpose import MIMB
from mipnet_mmpose.comparison.cost import Network, count_multiply_adds
from mipnet_mmpose.mipnetify import config_text, crop_size, mipnet_changes, mipnetify
from mipnet_mmpose.mmpose_files import STOCK_CONFIGS

N = 2
TOLERANCE = 1e-5  # of the largest value, between lambda = 0 and the stock model
COLUMNS = ['config', 'status', 'reason', 'backbone', 'neck', 'head', 'codec']
COLUMNS += ['dataset', 'metric', 'siblings', 'ratio of multiply-adds', 'lambda 0']


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        '--out', type=Path, default=Path('work_dirs/stock_configs.csv'), help='CSV file'
    )
    add('--only', metavar='GLOB', default='**/*.py', help='of the paths of configs')
    add('--workers', type=int, default=1, help='processes')
    return parser.parse_args(argv)


def top_down_configs(pattern):
    """(name, whether it is the first of its architecture) of each config."""
    seen = set()
    for path in sorted(STOCK_CONFIGS.glob(pattern)):
        if '_base_' in path.parts or '3d_keypoint' in str(path):
            continue
        try:
            cfg = Config.fromfile(path)
        except Exception:  # one of MMPose's own cannot be loaded
            continue
        if cfg.get('model', {}).get('type') == 'TopdownPoseEstimator':
            parts = dict(cfg.model.backbone, init_cfg=None), cfg.model.get('neck')
            architecture = str((*parts, cfg.model.head.type))
            yield path.relative_to(STOCK_CONFIGS).as_posix(), architecture not in seen
            seen.add(architecture)


def start_worker():
    warnings.filterwarnings('ignore')
    MMLogger.get_current_instance().setLevel('ERROR')
    init_default_scope('mmpose')
    torch.set_num_threads(1)
    # PyPI has no poseval; without it the metric cannot even be built
    posetrack18_metric.has_poseval = True


def cover(job):
    """The line of a config."""
    name, first = job
    cfg = Config.fromfile(STOCK_CONFIGS / name)
    line = dict(config=name, **describe(cfg))
    wheres = ('neck', 'backbone') if first else ('neck',)
    quiet = contextlib.redirect_stdout(io.StringIO())
    with tempfile.TemporaryDirectory() as folder, quiet:
        folder = Path(folder)
        try:
            for where in wheres:
                set_random_seed(0)
                line['siblings'] = check(name, cfg, where, folder)
            if first:
                line['lambda 0'] = max(check_lambda0(cfg, where) for where in wheres)
                line['ratio of multiply-adds'] = ratio_of_multiply_adds(cfg)
            line['status'] = 'passed'
        except Exception as error:
            line.update(status='failed', reason=explain(error))
            try:
                train_and_predict(undownloaded(cfg), folder)
            except Exception as error:
                line.update(status='failed in MMPose', reason=explain(error))
    return line


def explain(error):
    return re.sub(r'\s+', ' ', f'{type(error).__name__}: {error}')


def describe(cfg):
    def names(parts):
        parts = parts if isinstance(parts, list) else [parts]
        return ' '.join(sorted({p['type'].split('.')[-1] for p in parts if p})) or '-'

    model = cfg.model
    return dict(
        backbone=names(model.backbone),
        neck=names(model.get('neck')),
        head=names(model.head),
        codec=names(model.head.get('decoder')),
        dataset=names(list(stock_datasets(cfg.train_dataloader.dataset))),
        metric=names(cfg.val_evaluator),
    )


def undownloaded(cfg):
    """A copy without the weights that its backbone starts from."""
    cfg = copy.deepcopy(cfg)
    backbone = cfg.model.backbone
    backbone.get('backbone', backbone)['init_cfg'] = None
    return cfg


def check(name, cfg, where, folder):
    """Train and test a MIPNet; in how many samples a second person is learnt."""
    file = folder / f'{where}.py'
    file.write_text(config_text(f'mmpose::{name}', mipnet_changes(cfg, N, where)))
    model, samples, predicted = train_and_predict(
        undownloaded(Config.fromfile(file)), folder
    )
    assert all_learn(model), 'a weight of a MIMB gets no gradient'
    for sample in predicted:
        poses = sample.pred_instances
        assert poses.lambdas.tolist() == list(range(N)), 'the poses are not one per λ'
        for key in ('keypoints', 'keypoint_scores', 'bboxes', 'bbox_scores'):
            assert len(poses[key]) == N, f'{key} has {len(poses[key])} rows'
        assert (poses.keypoints == poses.keypoints).all(), 'a keypoint is NaN'
    targets = [s['data_samples'].gt_instances.target_instances[0] for s in samples]
    return sum(len(set(target.tolist())) > 1 for target in targets)


def train_and_predict(cfg, folder):
    """The model after a step, the samples, and poses that the evaluators took."""
    model = MODELS.build(cfg.model)
    dataset = with_made_up_people(cfg.train_dataloader.dataset, folder)
    dataset = DATASETS.build(dataset)
    samples = [dataset[i] for i in range(len(dataset))]
    batch = model.data_preprocessor(pseudo_collate(samples[:2]), True)
    model.train()
    for seed in range(3):  # a MIMB of few channels may have every hidden unit off
        set_random_seed(seed)
        model.zero_grad()
        for mimb in model.modules():
            if seed and isinstance(mimb, MIMB):
                mimb.reset_parameters()
        loss, _ = model.parse_losses(model(**copy.deepcopy(batch), mode='loss'))
        assert loss.isfinite(), f'the loss is {loss.item()}'
        loss.backward()
        if all_learn(model):
            break

    dataset = with_made_up_people(cfg.val_dataloader.dataset, folder)
    ann_file = next(stock_datasets(dataset))['ann_file']
    dataset = DATASETS.build(dataset)
    batch = pseudo_collate([dataset[0], dataset[1]])
    with torch.no_grad():
        predicted = model.eval().val_step(copy.deepcopy(batch))
    metrics = copy.deepcopy(cfg.val_evaluator)
    metrics = metrics if isinstance(metrics, list) else [metrics]
    for metric in metrics:
        if 'ann_file' in metric:
            metric['ann_file'] = ann_file
    evaluator = Evaluator(metrics)
    evaluator.dataset_meta = dataset.metainfo
    evaluator.process(predicted, batch)
    if not any('PoseTrack18' in metric['type'] for metric in metrics):  # needs poseval
        assert evaluator.evaluate(len(dataset)), 'the evaluators give no metric'
    return model, samples, predicted


def all_learn(model):
    """Whether every weight of every MIMB has a gradient.

    The gradient of a bias before a batch norm is 0, but for rounding.
    """
    mimbs = [module for module in model.modules() if isinstance(module, MIMB)]
    weights = [pair for mimb in mimbs for pair in mimb.named_parameters()]
    grads = [weight.grad for name, weight in weights if name != 'embed.0.bias']
    return all(grad is not None and grad.any() for grad in grads)


def check_lambda0(cfg, where):
    """Largest difference of lambda = 0 from the stock model, of the largest value."""
    stock = MODELS.build(undownloaded(cfg).model)
    x = torch.randn(2, 3, *crop_size(cfg)[::-1])
    for module in stock.modules():  # statistics, so that untrained layers pass crops on
        if isinstance(module, torch.nn.modules.batchnorm._BatchNorm):
            module.momentum = None
    mipnet = MODELS.build(undownloaded(mipnetify(cfg, N, where, init='identity')).model)
    with torch.no_grad():
        stock.train()._forward(x)
        mipnet.load_state_dict(stock.state_dict(), strict=False)
        ours, theirs = (tensors(m.eval()._forward(x)) for m in (mipnet, stock))
    off = 0.0
    for our, their in zip(ours, theirs):
        assert (their[0] - their[1]).any(), 'the stock model answers every crop alike'
        off = max(off, ((our[::N] - their).abs().max() / their.abs().max()).item())
    assert off <= TOLERANCE, f'lambda = 0 is {off:.1e} off the stock model'
    return off


def tensors(output):
    if isinstance(output, torch.Tensor):
        return [output]
    return [tensor for part in output for tensor in tensors(part)]


def ratio_of_multiply_adds(cfg):
    counts = []
    for config in (mipnetify(cfg, N, 'backbone'), cfg):
        network = Network(MODELS.build(undownloaded(config).model).eval())
        image = torch.zeros(1, 3, *crop_size(cfg)[::-1])
        counts.append(count_multiply_adds(network, image))
        del network  # before the next is built: the largest take gigabytes
    return round(counts[0] / counts[1], 3)


def main(argv=None):
    args = parse_args(argv)
    args.out.parent.mkdir(parents=True, exist_ok=True)
    done = {}
    if args.out.is_file():
        with args.out.open() as file:
            done = {line['config']: line['status'] for line in csv.DictReader(file)}
    jobs = [job for job in top_down_configs(args.only) if job[0] not in done]
    pool = multiprocessing.get_context('spawn').Pool(args.workers, start_worker, (), 8)
    with args.out.open('a', newline='') as file, pool:
        writer = csv.DictWriter(file, COLUMNS, restval='')
        if not done:
            writer.writeheader()
        for line in tqdm(pool.imap_unordered(cover, jobs), total=len(jobs)):
            writer.writerow(line)
            file.flush()
            done[line['config']] = line['status']
    passed = list(done.values()).count('passed')
    print(f'{passed} of {len(done)} configs pass\n{args.out}')


if __name__ == '__main__':
    main()
