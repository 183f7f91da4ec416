"""What a MIPNet costs beside its stock baseline: ratios, measured in turn.

mipnetify makes MIPNets of stock configs, with random weights; pictures are generated.
Nothing is downloaded. In every round the baseline and the MIPNets run one after the
other; a figure is the median over the rounds of time / time of the baseline in the same
round. With one thread on a CPU it is processor time, which other programs disturb less.
The parts:

  inference   the network on a batch: N = 2 and N = 4 with MIMBs inside the backbone,
              N = 2 with MIMBs behind it; multiply-adds beside
  training    forward, loss, backward and optimizer, N = 2, MIMBs inside the backbone
  memory      peak of two such steps in a process of their own: what they add to the
              resident memory (CPU, Linux), or allocate (GPU)
  pipeline    one sample through the config's training pipeline
  graph       graph breaks under torch.compile; on a GPU also host synchronisation
  throughput  images per second in float32, bfloat16, channels-last, compiled (GPU)
  nms         OKS-NMS of 200 poses
  metric      MultiInstanceCocoMetric, against CocoMetric on as many poses

Results are added to OUT after each of them, and all that OUT has is printed and goes
into DOC.
"""

import argparse
import json
import os
import platform
import sys
import warnings
from pathlib import Path

from benchmark_evaluation import OTHER_PARTS
from benchmark_networks import CONFIGS, NETWORK_PARTS, stock_config
from benchmark_tables import all_tables
from clone import update_document

# isort: split
import mmpose
import torch
from mmengine.logging import MMLogger
from mmengine.registry import init_default_scope
from tqdm import tqdm

from mipnet_mmpose.comparison.cost import machine_name
from mipnet_mmpose.whole_files import write_text

PARTS = [*NETWORK_PARTS, *OTHER_PARTS]


def parse_args(argv=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--device', choices=['cpu', 'cuda'], default='cpu')
    parser.add_argument(
        '--only', nargs='+', choices=PARTS, metavar='PART', help='default: all'
    )
    parser.add_argument(
        '--models',
        nargs='+',
        type=_model,
        default=list(CONFIGS),
        metavar='MODEL',
        help=f'of {", ".join(CONFIGS)}, or files of stock configs; default: the former',
    )
    parser.add_argument(
        '--rounds', type=_count, default=11, metavar='R', help='default: 11'
    )
    parser.add_argument(
        '--batch', type=_count, default=8, metavar='B', help='default: 8'
    )
    parser.add_argument(
        '--metric-images', type=_count, default=5000, metavar='I', help='default: 5000'
    )
    parser.add_argument(
        '--out',
        type=Path,
        metavar='JSON',
        help='default: work_dirs/benchmark/DEVICE.json',
    )
    parser.add_argument('--doc', type=Path, metavar='MD', help='with places for tables')
    args = parser.parse_args(argv)
    if args.device == 'cuda' and not torch.cuda.is_available():
        parser.error('--device cuda: torch sees no GPU')
    if args.device == 'cpu' and 'throughput' in (args.only or ()):
        parser.error('--only throughput needs --device cuda')
    if args.doc and not args.doc.is_file():
        parser.error(f'--doc {args.doc} does not exist')
    args.out = args.out or Path(f'work_dirs/benchmark/{args.device}.json')
    return args


def _model(text):
    if text not in CONFIGS and not Path(text).is_file():
        raise argparse.ArgumentTypeError(
            f'{text!r} is neither one of {", ".join(CONFIGS)} nor the file of a config'
        )
    return text


def _count(text):
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f'{text!r} is not a number of at least 1')
    return int(text)


def open_record(args):
    """What OUT has, if it was measured in the same way."""
    machine = machine_name(torch.device(args.device))
    if args.device == 'cpu':
        machine += f', cores: {os.cpu_count()}'
    record = dict(
        device=args.device,
        machine=machine,
        python=platform.python_version(),
        torch=torch.__version__,
        mmpose=mmpose.__version__,
        batch=args.batch,
    )
    if args.out.is_file():
        known = json.loads(args.out.read_text())
        for key, value in record.items():
            if known[key] != value:
                raise ValueError(
                    f'--out {args.out} was measured with {key} = {known[key]}, not '
                    f'{value}: name another file'
                )
        return known
    return dict(record, results={})


def measure(args, record):
    """Measure part by part, and write OUT after each."""
    parts = args.only or [
        p for p in PARTS if args.device == 'cuda' or p != 'throughput'
    ]
    folder = args.out.resolve().parent / 'synthcrowd'
    tasks = [
        (part, model)
        for part in parts
        for model in (args.models if part in NETWORK_PARTS else [None])
    ]
    for part, model in tqdm(tasks, desc='parts'):
        if model is None:
            save(args, record, part, OTHER_PARTS[part](args))
        else:
            cfg = stock_config(model, folder)
            save(args, record, part, {model: NETWORK_PARTS[part](cfg, args)})


def save(args, record, part, subjects):
    record['results'].setdefault(part, {}).update(subjects)
    for subject, result in subjects.items():
        tqdm.write(f'{part}, {subject}: {result}')
    write_text(args.out, json.dumps(record, indent=1) + '\n')


def main(argv=None):
    args = parse_args(argv)
    warnings.filterwarnings('ignore')  # of mmengine and torch, about themselves
    MMLogger.get_instance('benchmark', log_level='ERROR')
    init_default_scope('mmpose')
    torch.manual_seed(0)
    try:
        record = open_record(args)
    except ValueError as error:
        sys.exit(f'benchmark: {error}')
    measure(args, record)
    tables = all_tables(record)
    for name, text in tables.items():
        print(f'\n{name}\n\n{text}')
    print(args.out)
    if args.doc:
        update_document(
            args.doc, {f'{args.device} {name}': t for name, t in tables.items()}
        )


if __name__ == '__main__':
    main()
