"""Does MIPNet gain on photographs, and lose nothing elsewhere?

Fine-tunes a small COCO-trained network (Ultralight-SimplePose) on photographs with
people pasted onto each other, with and without MIMBs. Tests each run on other
photographs: on all persons, on their real pairs, and on pairs made of them by
tools/overlap_pairs.py. Every run is one line of OUT/runs.jsonl. What is there is not
run again; a training that was interrupted goes on from its last epoch. Prints tables
and writes them to OUT/tables.md.
"""

import argparse
import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from clone import append_line, read_lines, run_script, update_document
from photographs_runs import make_pairs, planned_runs, train, write_config

# isort: split
import numpy as np
from photographs_figures import write_figures
from tqdm import tqdm

from mipnet_mmpose.markdown import markdown_table
from mipnet_mmpose.whole_files import write_text

PATHS = ('train', 'test', 'images', 'weights', 'out')


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        '--train', type=Path, nargs='+', required=True, help='COCO files to train on'
    )
    parser.add_argument(
        '--test', type=Path, required=True, help='COCO file, with masks'
    )
    parser.add_argument('--images', type=Path, required=True, help='folder of all')
    parser.add_argument(
        '--weights', type=Path, required=True, help='ultralight_simplepose.onnx'
    )
    parser.add_argument('--out', type=Path, default=Path('work_dirs/photographs'))
    parser.add_argument('--runs', nargs='+', metavar='NAME', help='default: all')
    parser.add_argument('--seeds', type=int, default=3)
    parser.add_argument('--epochs', type=int, default=20)
    parser.add_argument('--pairs', type=int, default=500, help='pasted, to test with')
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    parser.add_argument(
        '--workers', type=int, default=1, help='runs at a time, one thread each'
    )
    parser.add_argument(
        '--doc', type=Path, metavar='FILE', help='write the tables into its places too'
    )
    parser.add_argument('--figures-of', metavar='RUN', help=argparse.SUPPRESS)
    args = parser.parse_args()
    for name in PATHS:
        value = getattr(args, name)
        paths = [p.resolve() for p in (value if name == 'train' else [value])]
        missing = [path for path in paths if name != 'out' and not path.exists()]
        if missing:
            parser.error(f'--{name}: {missing[0]} does not exist')
        setattr(args, name, paths if name == 'train' else paths[0])
    return args


def check_settings(args):
    """Stop where OUT has runs of other settings, which its results would mix."""
    names = ('train', 'test', 'images', 'weights', 'epochs', 'pairs', 'device')
    settings = {name: str(getattr(args, name)) for name in names}
    path = args.out / 'settings.json'
    if path.exists():
        for name, value in json.loads(path.read_text()).items():
            if settings[name] != value:
                sys.exit(f'photographs: --out {args.out} has runs of --{name} {value}')
    write_text(path, json.dumps(settings))


def run_one(args, name):
    """Train and test a run, in processes of their own; its figures."""
    os.environ['PYTHONPATH'] = os.pathsep.join(
        filter(None, [str(Path(__file__).parent), os.environ.get('PYTHONPATH')])
    )
    train(args, name)
    command = [Path(__file__), '--figures-of', name, '--train', *args.train]
    for key in ('test', 'images', 'weights', 'out', 'seeds', 'epochs', 'pairs'):
        command += [f'--{key}', getattr(args, key)]
    run_script(command, args.out / name / 'test.log', OMP_NUM_THREADS='1')
    return json.loads((args.out / name / 'figures.json').read_text())


def main():
    args = parse_args()
    if args.figures_of:
        write_figures(args, args.figures_of)
        return
    plan = planned_runs(args)
    unknown = sorted(set(args.runs or []) - set(plan))
    if unknown:
        sys.exit(f'photographs: --runs {unknown[0]} is none of {", ".join(plan)}')
    args.out.mkdir(parents=True, exist_ok=True)
    check_settings(args)
    make_pairs(args)
    path = args.out / 'runs.jsonl'
    results = {result['run']: result for result in read_lines(path)}
    todo = [name for name in args.runs or plan if name not in results]
    for name in todo:  # here: mmengine cannot read configs in several threads
        write_config(args, name)
    with ThreadPoolExecutor(args.workers) as pool:
        jobs = {pool.submit(run_one, args, name): name for name in todo}
        for job in tqdm(as_completed(jobs), total=len(jobs), desc='runs'):
            if job.exception() is None:
                results[jobs[job]] = job.result()
                append_line(path, job.result())
            else:
                tqdm.write(f'{jobs[job]}: {job.exception()}')
    if not results:
        sys.exit('photographs: no run has ended')
    found = tables([results[name] for name in plan if name in results])
    text = '\n\n'.join(found.values()) + '\n'
    write_text(args.out / 'tables.md', text)
    print(text)
    print(args.out / 'tables.md')
    if args.doc:
        update_document(args.doc, found)


def tables(results):
    """What was measured, by title."""
    by_kind = {}
    for result in results:
        by_kind.setdefault(result['kind'], []).append(result)
    found = dict(photographs=measured_table(by_kind))
    found['photographs intervals'] = interval_table(results)
    with_presence = {k: r for k, r in by_kind.items() if 'thresholds' in r[0]}
    if with_presence:
        found['photographs presence'] = presence_table(with_presence)
    return found


def measured_table(by_kind):
    """A row a kind: the mean over its seeds, and their range."""

    def cell(runs, *keys, of=None):
        values = []
        for run in runs:
            value = run
            for key in keys:
                value = value[key]
            values.append(value / (run[of[0]][of[1]] if of else 1) * 100)
        low, high = min(values), max(values)
        text = f'{np.mean(values):.1f}'
        return text if low == high else f'{text} ({low:.1f} to {high:.1f})'

    header = ['run', 'seeds', 'all persons: AP', 'pairs over IoU 0.5: AR50']
    header += ['real pairs: one box finds both (or one pose does)']
    header += ['pasted pairs: AP', 'AR50', 'front box alone: AP50', 'AR50']
    header += ['alone, drawn twice']
    rows = []
    for kind, runs in by_kind.items():
        pairs = [run['real pairs']['0.3'] for run in runs]
        both, reached = (
            np.mean([pair[key] for pair in pairs]) for key in ('both', 'reached')
        )
        rows.append(
            [
                kind,
                len(runs),
                cell(runs, 'all', 'AP'),
                cell(runs, 'crowded', 'AR50'),
                f'{both:.3g} ({reached:.3g}) of {pairs[0]["boxes"]}',
                cell(runs, 'pasted pairs', 'AP'),
                cell(runs, 'pasted pairs', 'AR50'),
                cell(runs, 'front box', 'AP50'),
                cell(runs, 'front box', 'AR50'),
                cell(runs, 'lone', 'twice', of=('lone', 'persons')),
            ]
        )
    return markdown_table(header, rows)


def interval_table(results):
    """95 % intervals of each run, from drawing the images anew."""

    def cell(figures, key):
        low, high = (100 * end for end in figures[f'{key} interval'])
        return f'{figures[key] * 100:.1f} ({low:.1f} to {high:.1f})'

    header = ['run', *(f'{part}, {key}' for part, key in INTERVALS)]
    rows = [
        [run['run'], *(cell(run[part], key) for part, key in INTERVALS)]
        for run in results
    ]
    return markdown_table(header, rows)


def presence_table(by_kind):
    """What a threshold of presence keeps, a row a threshold; mean over the seeds."""
    header = ['run', 'least presence', 'alone, drawn twice']
    header += ['real pairs: one box finds both']
    rows = []
    for kind, runs in by_kind.items():
        for points in zip(*(run['thresholds'] for run in runs)):
            twice = np.mean([point['twice'] for point in points])
            both = np.mean([point['both'] for point in points])
            persons = runs[0]['lone']['persons']
            share = f'{twice / persons * 100:.1f} % of {persons}'
            rows.append([kind, points[0]['threshold'], share, f'{both:.3g}'])
    return markdown_table(header, rows)


INTERVALS = (
    ('all', 'AP'),
    ('crowded', 'AR50'),
    ('pasted pairs', 'AP'),
    ('pasted pairs', 'AR50'),
    ('front box', 'AR50'),
)


if __name__ == '__main__':
    main()
