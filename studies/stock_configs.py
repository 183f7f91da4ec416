"""Make a MIPNet of every stock top-down config and see that it works.

For each 2D config with a TopdownPoseEstimator that MMPose ships, the config that
tools/mipnetify.py makes of it is written and loaded and the model built. Samples with
made-up people go through the config's own training pipeline, and one training step must
give a finite loss and a gradient to every weight of every MIMB. The stock estimator's
test path must give N poses per box, and the config's evaluators must take them.

All of this with the MIMBs behind the backbone. Configs that share backbone, neck and
head type are run once more with the MIMBs inside the backbone, and there the
multiply-adds for N = 2 are compared with the stock model's. For the first config of
each combination of backbone, neck and head, a MIPNet with identity gates and the stock
model's weights must answer with lambda = 0 what the stock model answers.

Networks start untrained; nothing is downloaded. Results go to OUT line by line, those
that have passed are not run again, and the table is written to DOC.
"""

import argparse
import contextlib
import copy
import gc
import json
import multiprocessing
import os
import re
import sys
import tempfile
import time
import traceback
import warnings
from collections import defaultdict
from pathlib import Path

import mipnet_mmpose  # noqa: F401 (before mmpose.models)

# isort: split
import mmpose
import torch
from made_up_samples import stock_parts, with_made_up_data
from mipnetify import STOCK
from mmengine.analysis import get_model_complexity_info
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
from mipnet_mmpose.mipnetify import (
    crop_size,
    mipnet_changes,
    mipnetify,
)
from mipnet_mmpose.mipnetify.config_text import apply_changes, config_text
from mipnet_mmpose.mipnetify.places import MIMB_PLACES
from mipnet_mmpose.models.mimb import map_features
from mipnet_mmpose.whole_files import write_text

N = 2
TOLERANCE = 1e-5  # of the largest value, between lambda = 0 and the stock model


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--out', type=Path, default=Path('work_dirs/stock_configs/results.jsonl')
    )
    parser.add_argument('--doc', type=Path, help='Markdown file for the table')
    parser.add_argument(
        '--only',
        metavar='GLOB',
        default='**/*.py',
        help='of the paths of configs',
    )
    parser.add_argument('--workers', type=int, default=1)
    return parser.parse_args()


# ---------------------------------------------------------------- what there is to do


def top_down_configs(pattern):
    """(name, config) of every config of MMPose with one pose per box."""
    for path in sorted(STOCK.glob(pattern)):
        name = path.relative_to(STOCK).as_posix()
        if path.suffix != '.py' or '_base_' in path.parts or '3d_keypoint' in name:
            continue
        text = path.read_text()
        if 'TopdownPoseEstimator' not in text and '_base_' not in text:
            continue
        try:
            cfg = Config.fromfile(path)
        except Exception:  # one of MMPose's own cannot be loaded
            continue
        kind = cfg.get('model', {}).get('type')
        if kind in ('TopdownPoseEstimator', 'DWPoseDistiller'):
            yield name, cfg


def plan(configs):
    """One job per config; what is the same for several is done for the first."""
    seen = set()
    jobs = []
    for name, cfg in configs:
        job = dict(config=name, wheres=['neck'], warm=[])
        if cfg.model.type == 'TopdownPoseEstimator':
            backbone = dict(cfg.model.backbone, init_cfg=None)
            family = (type_of(backbone), type_of(cfg.model.get('neck')))
            family += (type_of(cfg.model.head),)
            architecture = (str(backbone), str(cfg.model.get('neck')), family[-1])
            if architecture not in seen:
                job['wheres'].append('backbone')
            for where in job['wheres']:
                if (family, where) not in seen:
                    job['warm'].append(where)
                    seen.add((family, where))
            seen.add(architecture)
        jobs.append(job)
    return jobs


def type_of(part):
    return part['type'].split('.')[-1] if part else '-'


# -------------------------------------------------------------------- what is checked


def start_worker():
    warnings.filterwarnings('ignore')
    MMLogger.get_current_instance().setLevel('ERROR')
    init_default_scope('mmpose')
    torch.set_num_threads(1)
    # PyPI has no poseval; without it the metric cannot even be built
    posetrack18_metric.has_poseval = True


def cover(job):
    """Result of one config, a dict that json can write."""
    started = time.process_time()
    cfg = Config.fromfile(STOCK / job['config'])
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
    parts = list(stock_parts(cfg.train_dataloader.dataset))
    decoder = model.head.get('decoder') or {}
    decoder = decoder if isinstance(decoder, list) else [decoder]
    return dict(
        family=type_of(model.backbone),
        neck_type=type_of(model.get('neck')),
        head=type_of(model.head),
        codec=decoder[-1].get('type'),
        datasets=sorted({part['type'] for part in parts}),
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
    ann_file = next(stock_parts(dataset))['ann_file']
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
        model = MODELS.build(undownloaded(config.model))
        model.eval()
        info = get_model_complexity_info(
            Network(model),
            (3, *crop_size(cfg)[::-1]),
            show_table=False,
            show_arch=False,
        )
        cost.append(info['flops'])
        del model  # before the next is built: the largest take gigabytes
    return dict(stock=cost[0], mipnet=cost[1], ratio=round(cost[1] / cost[0], 3))


class Network(torch.nn.Module):
    """What a pose estimator computes of crops, without its data samples."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model._forward(x)


def outputs(model, x):
    model.eval()
    tensors = []
    with torch.no_grad():
        map_features(tensors.append, model._forward(x))
    return tensors


def undownloaded(model):
    """The model's config without the weights its backbone starts from."""
    model = copy.deepcopy(model)
    backbone = model['backbone']
    backbone.get('backbone', backbone)['init_cfg'] = None
    return model


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


# -------------------------------------------------------------------------- the table


def table(header, rows):
    lines = ['| ' + ' | '.join(header) + ' |']
    lines.append('|' + '|'.join(' --- ' for _ in header) + '|')
    lines += ['| ' + ' | '.join(str(cell) for cell in row) + ' |' for row in rows]
    return '\n'.join(lines) + '\n'


def read_lines(path):
    """The objects of a file with one a line; a line cut off at the end is removed."""
    text = path.read_text() if path.exists() else ''
    whole = text[: text.rfind('\n') + 1]
    if whole != text:
        write_text(path, whole)
    return [json.loads(line) for line in whole.splitlines()]


def grouped(results, key):
    groups = defaultdict(list)
    for result in results:
        values = result.get(key, '-')
        for value in values if isinstance(values, list) else [values]:
            groups[value].append(result)
    return sorted(groups.items(), key=lambda group: -len(group[1]))


def count_passed(group):
    return sum(result['status'] == 'passed' for result in group)


def span(values, form):
    if not values:
        return '-'
    low, high = (format(f(values), form) for f in (min, max))
    return low if low == high else f'{low} … {high}'


def family_rows(results):
    for family, group in grouped(results, 'family'):
        cost = [r['backbone']['cost']['ratio'] for r in group if 'backbone' in r]
        off = [
            r[where]['lambda0']
            for r in group
            for where in ('neck', 'backbone')
            if 'lambda0' in r.get(where, {})
        ]
        worst = f'{max(off):.1e}' if off else '-'
        yield family, len(group), count_passed(group), span(cost, '.2f'), worst


DOCUMENT = """\
# Which stock configs become a MIPNet

Every 2D config of MMPose {version} with a `TopdownPoseEstimator`, as
`tools/mipnetify.py` turns it into a MIPNet. What is checked of each stands at the top
of `studies/stock_configs.py`. The networks are untrained and the people made up: a
config that passes trains and answers, how well is another question.

```shell
python studies/stock_configs.py --doc docs/coverage.md  # 1 to 2 hours; resumes
```

**{passed} of {tried} configs pass ({percent:.1f} %).** The longest of the written
configs has {lines} lines.

{learnt}## By backbone

*Multiply-adds*: of the MIPNet for N = 2 with `--where backbone`, over those of the
stock model; the least and the most of the family. *λ = 0*: the largest difference from
the stock model's output after a warm start with identity gates, over its largest value.

{families}
{groups}
## What does not pass

{others}
## Default places of `--where backbone`

{{1/2}} is the submodule half-way down.

{places}"""


LEARNT = '## The second person is learnt\n'


def learnt_section(path):
    """What people have written into the document under this title."""
    text = path.read_text() if path.is_file() else ''
    rest = text.partition(LEARNT)[2]
    return LEARNT + rest.partition('\n## ')[0] + '\n' if rest else ''


def document(results, learnt=''):
    """docs/coverage.md."""
    tried = [r for r in results if r['status'] != 'refused']
    groups = ''
    for key, title in (
        ('neck_type', 'neck'),
        ('head', 'head'),
        ('codec', 'codec'),
        ('datasets', 'training dataset'),
        ('metrics', 'metric'),
    ):
        rows = [(name, len(g), count_passed(g)) for name, g in grouped(tried, key)]
        groups += f'## By {title}\n\n{table([title, "configs", "pass"], rows)}\n'
    others = ''
    for title, status in (
        ('Fail', 'failed'),
        ('Fail in MMPose itself', 'failed in MMPose'),
        ('Refused by the tool', 'refused'),
    ):
        by_reason = defaultdict(list)
        for result in results:
            if result['status'] == status:
                by_reason[result['reason']].append(result['config'])
        others += f'{title}: {sum(map(len, by_reason.values()))}.\n\n'
        for reason, configs in by_reason.items():
            others += f'- {reason}\n' + ''.join(f'  - `{name}`\n' for name in configs)
        others += '\n' * bool(by_reason)
    places = [(f, ', '.join(f'`{p}`' for p in ps)) for f, ps in MIMB_PLACES.items()]
    passed = count_passed(tried)
    return DOCUMENT.format(
        version=mmpose.__version__,
        passed=passed,
        tried=len(tried),
        percent=100 * passed / len(tried),
        lines=max(
            r[where]['lines'] for r in tried for where in r['wheres'] if where in r
        ),
        families=table(
            ['backbone', 'configs', 'pass', 'multiply-adds', 'λ = 0'],
            family_rows(tried),
        ),
        groups=groups,
        learnt=learnt,
        others=others,
        places=table(['backbone', 'places'], places),
    )


def main():
    args = parse_args()
    jobs = plan(top_down_configs(args.only))
    if not jobs:
        sys.exit(f'stock_configs: no top-down config matches --only {args.only}')
    results = {}
    if args.out.is_file():
        results = {r['config']: r for r in read_lines(args.out)}
    todo = [
        job
        for job in jobs
        if results.get(job['config'], {}).get('status') not in ('passed', 'refused')
    ]
    todo.sort(
        key=lambda job: (-len(job['warm']), -len(job['wheres']))
    )  # new ones first
    args.out.parent.mkdir(parents=True, exist_ok=True)
    # a fresh process after some configs gives their memory back
    pool = multiprocessing.get_context('spawn').Pool(
        args.workers, start_worker, maxtasksperchild=10
    )
    with pool, open(args.out, 'a') as file:
        for result in tqdm(pool.imap_unordered(cover, todo), total=len(todo)):
            results[result['config']] = result
            file.write(json.dumps(result) + '\n')
            file.flush()
            if result['status'].startswith('failed'):
                tqdm.write(f'{result["config"]}: {result["reason"]}')
    shown = [results[job['config']] for job in jobs]
    passed = count_passed(shown)
    refused = sum(r['status'] == 'refused' for r in shown)
    print(f'{passed} of {len(shown) - refused} configs pass, {refused} are refused')
    if args.doc:
        write_text(args.doc, document(shown, learnt_section(args.doc)))
        print(args.doc)


if __name__ == '__main__':
    main()
