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
import multiprocessing
import sys
from pathlib import Path

from clone import append_line, read_lines
from stock_config_check import cover, start_worker, type_of
from stock_config_document import count_passed, document, learnt_section

# isort: split
from mmengine.config import Config
from tqdm import tqdm

from mipnet_mmpose.mmpose_files import STOCK_CONFIGS
from mipnet_mmpose.whole_files import write_text


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


def top_down_configs(pattern):
    """(name, config) of every config of MMPose with one pose per box."""
    for path in sorted(STOCK_CONFIGS.glob(pattern)):
        name = path.relative_to(STOCK_CONFIGS).as_posix()
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


def main():
    args = parse_args()
    jobs = plan(top_down_configs(args.only))
    if not jobs:
        sys.exit(f'stock_configs: no top-down config matches --only {args.only}')
    results = {result['config']: result for result in read_lines(args.out)}
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
    with pool:
        for result in tqdm(pool.imap_unordered(cover, todo), total=len(todo)):
            results[result['config']] = result
            append_line(args.out, result)
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
