"""Write the short config that makes a MIPNet of a stock top-down config.

The new config inherits CONFIG and changes what a MIPNet needs changed: the MIMBs, the
head, the training dataset and the evaluators; with --load-from also the schedule.
Everything else stays as it is in CONFIG. Nothing is downloaded. The path of the new
config is printed.
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from mipnet_command import run_tool, tool_parser


def parse_args(argv=None):
    parser = tool_parser('mipnetify', __doc__)
    add = parser.add_argument
    default = ' (default: %(default)s)'
    add('config', nargs='?', help="a path, the name of one of MMPose's or mmpose::PATH")
    add('-o', '--out', type=Path, help='file or folder (default: mipnet_<CONFIG> here)')
    poses = 'poses per box' + default
    add('--num-instances', type=int, metavar='N', default=2, help=poses)
    where = 'MIMBs behind the backbone, or inside it as in the paper'
    add('--where', choices=['neck', 'backbone'], default='neck', help=where + default)
    add(
        '--insert',
        nargs='+',
        metavar='PATH:before|PATH:after',
        help='submodules of the backbone to put MIMBs at, instead of the default ones',
    )
    add('--reduction', type=int, default=4, help='of the MIMBs' + default)
    add(
        '--init',
        choices=['paper', 'identity'],
        help='identity starts with every gate at 1, as a trained stock model wants it '
        '(default: identity with --load-from, else paper)',
    )
    add(
        '--load-from',
        metavar='CKPT',
        help='checkpoint of the stock model, which is fine-tuned for 20 epochs, its '
        'layers at a tenth of the learning rate',
    )
    for name, text in (
        ('--freeze', 'train the MIMBs alone, not the stock layers'),
        ('--presence', 'say whether there is a second person'),
        ('--paste-people', 'paste people onto each other, by their masks'),
        ('--list', 'print the default places of --where backbone and stop'),
    ):
        add(name, action='store_true', help=text)
    args = vars(parser.parse_args(argv))
    if args['config'] is None and not args['list']:
        parser.error('CONFIG is missing')
    return args


def run(args):
    """Write the config."""
    import mipnet_mmpose  # noqa: F401 (before mmpose.models)

    # isort: split
    from mmengine.config import Config

    from mipnet_mmpose.mipnetify import (
        MIMB_PLACES,
        config_text,
        mipnet_changes,
        parse_place,
    )
    from mipnet_mmpose.mmpose_files import STOCK_CONFIGS, find_config
    from mipnet_mmpose.whole_files import write_text

    if args.pop('list'):
        print('{1/2} is the submodule half-way down.')
        for family, places in MIMB_PLACES.items():
            print(f'{family:24}  {"  ".join(places)}')
        return
    name, out = args.pop('config'), args.pop('out') or Path()
    try:
        stock = find_config(name)
        if Config._is_lazy_import(str(stock)):
            raise ValueError(
                f'CONFIG {name} is written with read_base(): take the one of the same '
                'name without it, mmpose::PATH'
            )
        if args['insert']:
            args['insert'] = [parse_place(place) for place in args['insert']]
        changes = mipnet_changes(Config.fromfile(stock), **args)
    except Exception as error:  # a config is a program
        raise ValueError(error) from error
    out = out if out.suffix == '.py' else out / f'mipnet_{stock.stem}.py'
    base = os.path.relpath(stock, out.resolve().parent)
    if STOCK_CONFIGS in stock.parents:
        base = f'mmpose::{stock.relative_to(STOCK_CONFIGS)}'
    text = config_text(Path(base).as_posix(), changes)
    if out.is_file() and out.read_text() != text:
        raise ValueError(f'OUT {out} is there already and is another config')
    write_text(out, text)
    print(out)


if __name__ == '__main__':
    run_tool(run, parse_args())
