"""Write the short config that makes a MIPNet of a stock top-down config.

The new config inherits CONFIG and changes what a MIPNet needs changed: the MIMBs, the
head, the training dataset and the evaluators. Everything else stays as it is in CONFIG.
Nothing is downloaded. The path of the new config is printed.
"""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import mipnet_mmpose  # noqa: F401 (before mmpose.models)

# isort: split
from mmengine.config import Config

from mipnet_mmpose.mipnetify import mipnet_changes
from mipnet_mmpose.mipnetify.config_text import config_text
from mipnet_mmpose.mipnetify.places import MIMB_PLACES, parse_place
from mipnet_mmpose.mmpose_files import STOCK_CONFIGS
from mipnet_mmpose.whole_files import write_text


def parse_args(argv):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        'config', nargs='?', help="a path, or 'mmpose::PATH' for a config of MMPose's"
    )
    parser.add_argument(
        '-o', '--out', type=Path, help='default: mipnet_<CONFIG> in this folder'
    )
    parser.add_argument(
        '--num-instances', type=int, default=2, metavar='N', help='poses per box'
    )
    parser.add_argument(
        '--where',
        choices=['neck', 'backbone'],
        default='neck',
        help='MIMBs behind the backbone (default), or inside it as in the paper',
    )
    parser.add_argument(
        '--insert',
        nargs='+',
        metavar='PATH:before|PATH:after',
        help='submodules of the backbone to put MIMBs at, instead of the default ones',
    )
    parser.add_argument(
        '--init',
        choices=['paper', 'identity'],
        help='identity starts with every gate at 1, as a trained stock model wants it; '
        'default: identity with --load-from, else paper',
    )
    parser.add_argument(
        '--load-from',
        metavar='CKPT',
        help='checkpoint of the stock model',
    )
    parser.add_argument(
        '--freeze', action='store_true', help='train the MIMBs alone, not that model'
    )
    parser.add_argument(
        '--presence', action='store_true', help='learn whether there is a second person'
    )
    parser.add_argument(
        '--paste-people',
        action='store_true',
        help='paste people onto each other in training; the data need masks',
    )
    parser.add_argument(
        '--list', action='store_true', help='print the default places and stop'
    )
    args = parser.parse_args(argv)
    if args.config is None and not args.list:
        parser.error('CONFIG is missing')
    return args


def print_places():
    width = max(map(len, MIMB_PLACES))
    print(
        'Default places of --where backbone, also of the classes that inherit from\n'
        'these. {1/2} is the submodule half-way down.\n'
    )
    for family, places in MIMB_PLACES.items():
        print(f'{family:{width}}  {"  ".join(places)}')


def find_stock(config, out):
    """The file of CONFIG, and how a config at ``out`` names it."""
    if config.startswith('mmpose::'):
        path, name = STOCK_CONFIGS / config[len('mmpose::') :], config
    else:
        path = Path(config).resolve()
        name = Path(os.path.relpath(path, out.resolve().parent)).as_posix()
        if STOCK_CONFIGS in path.parents:
            name = f'mmpose::{path.relative_to(STOCK_CONFIGS).as_posix()}'
    if not path.is_file():
        raise ValueError(f'CONFIG {config} does not exist')
    if path == out.resolve():
        raise ValueError(f'OUT {out} is CONFIG itself')
    return path, name


def load(config, path):
    try:
        new_style = Config._is_lazy_import(str(path))
        cfg = None if new_style else Config.fromfile(path)
    except Exception as error:  # a config is a program
        raise ValueError(f'CONFIG {config} cannot be loaded: {error}') from error
    if new_style:
        raise ValueError(
            f'CONFIG {config} is written in the style of read_base(), which a config '
            "with _base_ cannot inherit: take MMPose's config of the same name, "
            "'mmpose::...'"
        )
    return cfg


def main(argv=None):
    args = parse_args(argv)
    if args.list:
        return print_places()
    stem = Path(args.config.split('::')[-1]).stem
    out = args.out or Path(f'mipnet_{stem}.py')
    if out.suffix != '.py':
        sys.exit(f'mipnetify: OUT {out} must end in .py')
    try:
        path, name = find_stock(args.config, out)
        changes = mipnet_changes(
            load(args.config, path),
            num_instances=args.num_instances,
            where=args.where,
            insert=args.insert and [parse_place(place) for place in args.insert],
            init=args.init,
            load_from=args.load_from,
            freeze=args.freeze,
            presence=args.presence,
            paste_people=args.paste_people,
        )
    except (ValueError, ImportError) as error:
        sys.exit(f'mipnetify: {error}')
    text = config_text(name, changes)
    if out.is_file() and out.read_text() != text:
        sys.exit(f'mipnetify: OUT {out} is there already and is another config')
    write_text(out, text)
    print(out)


if __name__ == '__main__':
    main()
