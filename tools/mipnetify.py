"""Write the short config that makes a MIPNet of a stock top-down config.

The new config inherits CONFIG and changes what a MIPNet needs changed: the MIMBs, the
head, the training dataset and the evaluators; with --load-from also the schedule.
Everything else stays as it is in CONFIG. Nothing is downloaded. The path of the new
config is printed.
"""

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


class Help(
    argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter
):
    """Defaults behind each argument, the description as it is."""


def parse_args(argv):
    parser = argparse.ArgumentParser(
        prog='mipnet mipnetify',
        description=__doc__,
        formatter_class=Help,
        argument_default=argparse.SUPPRESS,  # what is not given is not passed on
    )
    add = parser.add_argument
    flag = dict(action='store_true', default=argparse.SUPPRESS)
    add('config', nargs='?', help="a path, the name of one of MMPose's or mmpose::PATH")
    add('-o', '--out', type=Path, help='default: mipnet_<CONFIG> in this folder')
    add('--num-instances', type=int, metavar='N', default=2, help='poses per box')
    add(
        '--where',
        choices=['neck', 'backbone'],
        default='neck',
        help='MIMBs behind the backbone, or inside it as in the paper',
    )
    add(
        '--insert',
        nargs='+',
        metavar='PATH:before|PATH:after',
        help='submodules of the backbone to put MIMBs at, instead of the default ones',
    )
    add('--reduction', type=int, default=4, help='of the MIMBs')
    add(
        '--init',
        choices=['paper', 'identity'],
        help='identity starts with every gate at 1, as a trained stock model wants it; '
        'default: identity with --load-from, else paper',
    )
    add(
        '--load-from',
        metavar='CKPT',
        help='checkpoint of the stock model, which is fine-tuned for 20 epochs, its '
        'layers at a tenth of the learning rate',
    )
    add('--freeze', **flag, help='train the MIMBs alone, not the stock layers')
    add('--presence', **flag, help='learn whether there is a second person')
    add('--paste-people', **flag, help='paste people onto each other, by their masks')
    add('--list', **flag, help='print the default places and stop')
    args = vars(parser.parse_args(argv))
    if 'config' not in args and 'list' not in args:
        parser.error('CONFIG is missing')
    return args


def print_places(places):
    print(
        'Default places of --where backbone, also of the classes that inherit from\n'
        'these. {1/2} is the submodule half-way down.\n'
    )
    for family, names in places.items():
        print(f'{family:{max(map(len, places))}}  {"  ".join(names)}')


def main(argv=None):
    args = parse_args(argv)
    import mipnet_mmpose  # noqa: F401 (before mmpose.models)

    # isort: split
    from mmengine.config import Config

    from mipnet_mmpose import mipnetify
    from mipnet_mmpose.mmpose_files import STOCK_CONFIGS, find_config
    from mipnet_mmpose.whole_files import write_text

    if args.pop('list', False):
        return print_places(mipnetify.MIMB_PLACES)
    name = args.pop('config')
    try:
        stock = find_config(name)
        out = args.pop('out', Path(f'mipnet_{stock.stem}.py'))
        if stock == out.resolve():
            raise ValueError(f'OUT {out} is CONFIG itself')
        if Config._is_lazy_import(str(stock)):
            raise ValueError(
                f'CONFIG {name} is written with read_base(); take mmpose::'
            )
        if 'insert' in args:
            args['insert'] = [mipnetify.parse_place(place) for place in args['insert']]
        changes = mipnetify.mipnet_changes(Config.fromfile(stock), **args)
    except Exception as error:  # a config is a program
        sys.exit(f'mipnetify: {error}')
    base = os.path.relpath(stock, out.resolve().parent)
    if STOCK_CONFIGS in stock.parents:
        base = f'mmpose::{stock.relative_to(STOCK_CONFIGS)}'
    text = mipnetify.config_text(Path(base).as_posix(), changes)
    if out.is_file() and out.read_text() != text:
        sys.exit(f'mipnetify: OUT {out} is there already and is another config')
    write_text(out, text)
    print(out)


if __name__ == '__main__':
    main()
