"""Convert weights of the authors' MIPNet (HRNet or ResNet) for a config of ours.

Backbone, width, MIMB positions, number of instances and of keypoints are read from the
keys and shapes. The last line printed is the path of the config that the checkpoint is
for: one of ours, or one written beside DST where none of ours matches.

The authors' trials with three and four instances code lambda as two binary digits:
their weights have the shapes of two instances and cannot be told from them.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from mipnet_command import run_tool, tool_parser


def parse_args(argv=None):
    parser = tool_parser('convert_official_checkpoint', __doc__)
    parser.add_argument('src', type=Path, metavar='SRC', help="the authors' weights")
    parser.add_argument('dst', type=Path, metavar='DST', help='checkpoint to write')
    parser.add_argument(
        '--input-size',
        choices=['256x192', '384x288'],
        default='384x288',
        help='of the config; the weights do not tell it (default: %(default)s, that '
        'of the released weights)',
    )
    args = parser.parse_args(argv)
    if args.dst.suffix == '.py' or args.dst.resolve() == args.src.resolve():
        parser.error('DST must be a checkpoint file other than SRC')
    return args


def choose_config(official, input_size):
    """A config for the model, and its path where it is one of ours, else None."""
    from mmengine.config import Config

    from mipnet_mmpose.mipnetify import mipnetify
    from mipnet_mmpose.mmpose_files import OUR_CONFIGS, STOCK_CONFIGS

    dataset = 'crowdpose' if official.num_keypoints == 14 else 'coco'
    family = 'hrnet-w' if official.family == 'HRNet' else 'res'
    ours = OUR_CONFIGS.glob(
        f'{dataset}/td-hm_mipnet-{family}{official.size}_*210e_{dataset}-{input_size}.py'
    )
    fit = (official.insert, official.num_instances, official.num_keypoints)
    for path in ours:
        cfg = Config.fromfile(path)
        backbone, head = cfg.model.backbone, cfg.model.head.head
        if (backbone.insert, backbone.num_instances, head.out_channels) == fit:
            return cfg, path
    # MMPose's own, or the nearest one that it has of the family
    names = [
        f'{data}/td-hm_{family}{size}_8xb*-210e_{data}-{input_size}.py'
        for data in (dataset, 'coco')
        for size in (official.size, dict(HRNet=32, ResNet=50)[official.family])
    ]
    folder = STOCK_CONFIGS / 'body_2d_keypoint' / 'topdown_heatmap'
    stock = Config.fromfile(next(path for name in names for path in folder.glob(name)))
    stock.model.head.out_channels = official.num_keypoints
    if official.family == 'HRNet' and stock.model.head.in_channels != official.size:
        for n in (2, 3, 4):
            channels = tuple(official.size * 2**i for i in range(n))
            stock.model.backbone.extra[f'stage{n}'].num_channels = channels
        stock.model.backbone.init_cfg = None  # pretrained for another width
        stock.model.head.in_channels = official.size
    options = dict(insert=official.insert, num_instances=official.num_instances)
    return mipnetify(stock, where='backbone', **options), None


def run(args):
    import torch
    from mmengine.registry import init_default_scope

    from mipnet_mmpose import __version__
    from mipnet_mmpose.models import official_checkpoint
    from mipnet_mmpose.whole_files import write_text, written_whole

    init_default_scope('mmpose')
    state = official_checkpoint.read_state_dict(args.src)
    official = official_checkpoint.OfficialModel(state, args.src)
    cfg, config = choose_config(official, args.input_size)
    given = state, official, cfg.model, args.src
    weights = official_checkpoint.convert_state_dict(*given)
    meta = dict(source=args.src.name, model=str(official))
    meta['mipnet_mmpose_version'] = __version__
    if config is None:
        config = args.dst.with_suffix('.py')
        write_text(config, cfg.pretty_text)
    with written_whole(args.dst) as part:
        torch.save(dict(state_dict=weights, meta=meta), part)
    print(
        f'{official} with MIMBs at {", ".join(official.positions)}, '
        f'{official.num_instances} instances, {official.num_keypoints} keypoints'
    )
    if official.family == 'ResNet':
        print(
            "The authors' ResNets take BGR images: test and infer with\n"
            '  --cfg-options model.data_preprocessor.bgr_to_rgb=False'
        )
    print(config)


if __name__ == '__main__':
    run_tool(run, parse_args())
