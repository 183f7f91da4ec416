"""Does MIPNet gain where people overlap, and lose nothing elsewhere?

Trains a baseline with MMPose's tools/train.py on a synthetic crowd and goes on from it,
with the baseline and with MIPNets. The crowd to learn from is like COCO: people are
apart or touch, and hardly ever overlap by more than half. Tests each on pairs who are
apart, touch, overlap: with ground-truth boxes, with simulated detections, and with
detections thinned by box NMS. Every run is one line of OUT/runs.jsonl. What is there
is not run again; a training that was interrupted goes on from its last epoch. Prints
tables and writes them to OUT/tables.md, plots beside them.
"""

import argparse
import json
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from threading import Event

from clone import append_line, read_lines, run_script
from study_figures import test
from study_report import report
from study_runs import NETWORKS, make_data, planned_runs, train, write_config
from tqdm import tqdm

from mipnet_mmpose.whole_files import write_text


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--out', type=Path, default=Path('work_dirs/study'))
    parser.add_argument('--network', choices=NETWORKS, default='small')
    parser.add_argument('--runs', nargs='+', metavar='NAME', help='default: all')
    parser.add_argument('--seeds', type=int, default=3, help='of the main runs')
    parser.add_argument('--images', type=int, default=2400, help='to train on')
    parser.add_argument('--test-images', type=int, default=500, help='of each strength')
    parser.add_argument(
        '--pretraining', type=int, default=9, help='epochs of the baseline before'
    )
    parser.add_argument('--epochs', type=int, default=3, help='of each run after it')
    parser.add_argument(
        '--crowded-epochs', type=int, default=5, help='of the runs on a denser crowd'
    )
    parser.add_argument('--device', choices=('cpu', 'cuda'), default='cpu')
    parser.add_argument(
        '--workers', type=int, default=1, help='runs at a time, one thread each'
    )
    parser.add_argument(
        '--doc',
        type=Path,
        help='Markdown file with places for the tables; plots beside it',
    )
    parser.add_argument('--test', metavar='RUN', help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.out = args.out.resolve()
    return args


def check_settings(args):
    """Stop where OUT has runs of other settings, which its results would mix."""
    names = ['network', 'images', 'test_images', 'pretraining', 'epochs', 'device']
    names.append('crowded_epochs')
    settings = {name: getattr(args, name) for name in names}
    path = args.out / 'settings.json'
    if path.exists():
        for name, value in json.loads(path.read_text()).items():
            if settings[name] != value:
                option = name.replace('_', '-')
                sys.exit(f'study: --out {args.out} has runs of --{option} {value}')
    write_text(path, json.dumps(settings))


def run_one(args, name):
    """Train and test a run, in processes of their own; its figures."""
    train(args, name)
    log = args.out / name / 'test.log'
    command = [Path(__file__), '--test', name, '--out', args.out]
    keys = ['network', 'seeds', 'pretraining', 'epochs', 'crowded_epochs', 'device']
    for key in keys:
        command += [f'--{key.replace("_", "-")}', getattr(args, key)]
    run_script(command, log, OMP_NUM_THREADS='1')
    return json.loads((args.out / name / 'figures.json').read_text())


def main():
    args = parse_args()
    plan = planned_runs(args)
    if args.test:
        text = json.dumps(test(args, args.test))
        write_text(args.out / args.test / 'figures.json', text)
        return
    unknown = sorted(set(args.runs or []) - set(plan))
    if unknown:
        sys.exit(f'study: --runs {unknown[0]} is none of {", ".join(plan)}')
    args.out.mkdir(parents=True, exist_ok=True)
    check_settings(args)
    make_data(args)
    path = args.out / 'runs.jsonl'
    results = {result['run']: result for result in read_lines(path)}
    wanted = set(args.runs or plan)
    for name in reversed(plan):  # what it starts from is before it
        if name in wanted:
            wanted.add(plan[name]['start'])
    # in this order: a run that waits for its start holds one of the workers
    todo = [name for name in plan if name in wanted - set(results)]
    for name in todo:  # here: mmengine cannot read configs in several threads
        write_config(args, name)
    ready = {name: Event() for name in todo}

    def work(name):
        start = plan[name]['start']
        if start in ready:
            ready[start].wait()
        try:
            result = run_one(args, name)
            append_line(path, result)
            return result
        finally:
            ready[name].set()

    with ThreadPoolExecutor(args.workers) as pool:
        jobs = {pool.submit(work, name): name for name in todo}
        for job in tqdm(as_completed(jobs), total=len(jobs), desc='runs'):
            if job.exception() is None:
                results[jobs[job]] = job.result()
            else:
                tqdm.write(f'{jobs[job]}: {job.exception()}')
    if not results:
        sys.exit('study: no run has ended')
    report(args, {name: results[name] for name in plan if name in results})


if __name__ == '__main__':
    main()
