"""Convert weights of the authors' MIPNet (HRNet or ResNet) for a config of ours.

Backbone, width, MIMB positions, number of instances and of keypoints are read from the
keys and shapes. The last line printed is the path of the config that the checkpoint is
for: one of ours, or one written beside DST where none of ours matches.

The authors' trials with three and four instances code lambda as two binary digits:
their weights have the shapes of two instances and cannot be told from them.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope

import mipnet_mmpose
from mipnet_mmpose.models.official_checkpoint import (
    ConversionError,
    OfficialModel,
    convert_state_dict,
    read_state_dict,
)
from mipnet_mmpose.whole_files import written_whole

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
DATASETS = {17: 'coco', 14: 'crowdpose'}  # by number of keypoints


def parse_args(argv=None):
    parser = argparse.ArgumentParser(description=__doc__)
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


def find_config(official, input_size, size=None, num_instances=None):
    """A config of ours, or None, by backbone and number of instances."""
    name = 'hrnet-w' if official.family == 'HRNet' else 'res'
    num = num_instances or official.num_instances
    dataset = DATASETS.get(official.num_keypoints, 'coco')
    paths = (CONFIGS / dataset).glob(
        f'td-hm_mipnet-{name}{size or official.size}_{"" if num == 2 else f"n{num}-"}'
        f'8xb*-210e_{dataset}-{input_size}.py'
    )
    return next(paths, None)


def adapt(cfg, official):
    """Make a config of the same family fit a model."""
    backbone, head = cfg.model.backbone, cfg.model.head
    backbone.insert = official.insert
    head.head.out_channels = official.num_keypoints
    cfg.num_instances = official.num_instances
    for part in (backbone, head, cfg.train_dataloader.dataset):
        part.num_instances = official.num_instances
    if official.family == 'HRNet' and head.head.in_channels != official.size:
        for n in (2, 3, 4):
            channels = tuple(official.size * 2**i for i in range(n))
            backbone.backbone.extra[f'stage{n}'].num_channels = channels
        backbone.backbone.init_cfg = None  # pretrained for another width
        head.head.in_channels = official.size


def choose_config(official, input_size):
    """A config for the model, and its path where it is one of ours, else None."""
    path = find_config(official, input_size)
    if path is not None:
        cfg = Config.fromfile(path)
        model = cfg.model
        if (model.backbone.insert, model.head.head.out_channels) == (
            official.insert,
            official.num_keypoints,
        ):
            return cfg, path
    # the nearest one of the family, adapted
    cfg = Config.fromfile(
        path
        or find_config(official, input_size, num_instances=2)
        or find_config(official, input_size, size=32, num_instances=2)
    )
    adapt(cfg, official)
    for snippet in (CONFIGS / '_base_').glob('*.py'):
        for name in Config.fromfile(snippet):
            if name not in ('custom_imports', 'num_instances'):
                cfg.pop(name, None)  # what only the configs of ours refer to
    return cfg, None


def write(path, save):
    """Write a file whole."""
    try:
        with written_whole(path) as part:
            save(part)
    except (OSError, RuntimeError) as error:
        raise ConversionError(f'{path} cannot be written: {error}') from error


def main(argv=None):
    args = parse_args(argv)
    init_default_scope('mmpose')
    try:
        state = read_state_dict(args.src)
        official = OfficialModel(state, args.src)
        cfg, config = choose_config(official, args.input_size)
        meta = dict(
            source=args.src.name,
            model=str(official),
            positions=official.positions,
            mipnet_mmpose_version=mipnet_mmpose.__version__,
        )
        weights = convert_state_dict(state, official, cfg.model, args.src)
        checkpoint = dict(state_dict=weights, meta=meta)
        if config is None:
            config = args.dst.with_suffix('.py')
            write(config, lambda path: path.write_text(cfg.pretty_text))
        write(args.dst, lambda path: torch.save(checkpoint, path))
    except ConversionError as error:
        sys.exit(f'error: {error}')
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
    main()
