"""Convert weights of the authors' MIPNet (HRNet or ResNet) for a config of ours.

Backbone, width, MIMB positions, number of instances and of keypoints are read from the
keys and shapes. The last line printed is the path of the config that the checkpoint is
for: one of ours, or one written beside DST where none of ours matches.

The authors' trials with three and four instances code lambda as two binary digits:
their weights have the shapes of two instances and cannot be told from them.
"""

import argparse
import copy
import re
import sys
import warnings
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmpose.registry import MODELS

import mipnet_mmpose
from mipnet_mmpose.whole_files import written_whole

CONFIGS = Path(__file__).resolve().parents[1] / 'configs'
DATASETS = {17: 'coco', 14: 'crowdpose'}  # by number of keypoints
RESNET_DEPTHS = {(3, 4, 6, 3): 50, (3, 4, 23, 3): 101, (3, 8, 36, 3): 152}

# where the authors' MIMBs sit, in the order in which they run
PLACES = {
    'HRNet': {
        'stage1_se': dict(module='stage2', position='before'),
        'stage2_se': dict(module='stage3', position='before'),
        'stage3_se': dict(module='stage4', position='before'),
        'stage4_se': dict(module='stage4', position='after'),
    },
    'ResNet': {
        'layer1_se': dict(module='layer1', position='before'),
        'layer2_se': dict(module='layer2', position='before'),
        'layer3_se': dict(module='layer3', position='before'),
        'layer4_se': dict(module='layer4', position='before'),
    },
}


class ConversionError(Exception):
    """What is wrong with a checkpoint, in a sentence that names the file."""


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


def read_state_dict(path):
    """Tensors by the authors' key names, from a state dict or a training checkpoint."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # an error says it all
            loaded = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # a damaged file can raise anything
        reason = (str(error).splitlines() or [''])[0]
        raise ConversionError(
            f'{path} cannot be read with torch.load(weights_only=True): '
            f'{type(error).__name__}: {reason}'
        ) from error
    candidates = [loaded]
    if isinstance(loaded, dict):
        names = ('latest_state_dict', 'state_dict', 'best_state_dict', 'model')
        candidates += [loaded.get(name) for name in names]
    for state in candidates:
        if isinstance(state, dict) and state:
            if all(isinstance(item, torch.Tensor) for item in state.values()):
                break
    else:
        raise ConversionError(
            f'{path} holds no state dict (a dict of tensors, or a checkpoint with one '
            f"under 'state_dict'), but a {type(loaded).__name__}"
        )
    if all(str(key).startswith('module.') for key in state):
        return {key[len('module.') :]: value for key, value in state.items()}
    return {str(key): value for key, value in state.items()}


class OfficialModel:
    """What a state dict of the authors tells about its model.

    Args:
        state (dict): tensors by the authors' key names.
        path (Path): for the error messages.

    Attributes:
        family (str): ``'HRNet'`` or ``'ResNet'``.
        size (int): width of the HRNet, or depth of the ResNet.
        positions (list[str]): which of ``PLACES[family]`` have MIMBs.
        num_instances (int): N.
        num_keypoints (int): K.
    """

    def __init__(self, state, path):
        if any(key.startswith('stage4.') for key in state):
            self.family, self.size = 'HRNet', self._width(state, path)
        elif any(key.startswith('layer4.') for key in state):
            self.family, self.size = 'ResNet', self._depth(state, path)
        else:
            raise ConversionError(
                f"{path} is neither an HRNet nor a ResNet in the authors' key names: "
                f'its first key is {next(iter(state))}'
            )
        modules = {key.split('.')[0] for key in state}
        self.positions = [name for name in PLACES[self.family] if name in modules]
        if not self.positions:
            raise ConversionError(
                f'{path} is a plain {self}: it has no MIMBs '
                f'({", ".join(PLACES[self.family])})'
            )
        codes = [
            value.shape[1]
            for key, value in state.items()
            if key.endswith('.fc_lambda.0.weight') and value.dim() == 2
        ]
        self.num_instances = codes[0] if codes else 2
        final = state.get('final_layer.weight')
        self.num_keypoints = len(final) if final is not None and final.dim() else 17

    @staticmethod
    def _width(state, path):
        # the commonest, should a few tensors be of another width
        pattern = r'stage[234]\.\d+\.branches\.0\.\d+\.conv1\.weight'
        widths = Counter(
            len(value)
            for key, value in state.items()
            if re.fullmatch(pattern, key) and value.dim() == 4
        )
        if not widths:
            raise ConversionError(f'{path}: an HRNet without its first branch')
        return widths.most_common(1)[0][0]

    @staticmethod
    def _depth(state, path):
        blocks = tuple(
            len({k.split('.')[1] for k in state if k.startswith(f'layer{n}.')})
            for n in (1, 2, 3, 4)
        )
        if blocks not in RESNET_DEPTHS:
            raise ConversionError(
                f'{path}: a ResNet with {blocks} blocks is none of ResNet-'
                + ', '.join(str(depth) for depth in RESNET_DEPTHS.values())
            )
        return RESNET_DEPTHS[blocks]

    def __str__(self):
        return f'{self.family}-{"W" if self.family == "HRNet" else ""}{self.size}'

    def official_key(self, key):
        """The authors' name for a key of ours."""
        pattern = r'backbone\.mimbs\.(\d+)\.mimbs\.(\d+)\.(excite|embed)\.(.+)'
        match = re.fullmatch(pattern, key)
        if match is None:
            return re.sub(r'^(backbone|head\.head)\.', '', key)
        place, branch, layers, rest = match.groups()
        layers = {'excite': 'fc', 'embed': 'fc_lambda'}[layers]
        return f'{self.positions[int(place)]}.se_layers.{branch}.{layers}.{rest}'

    def find_config(self, input_size, size=None, num_instances=None):
        """A config of ours, or None, by backbone and number of instances."""
        name = 'hrnet-w' if self.family == 'HRNet' else 'res'
        num = num_instances or self.num_instances
        dataset = DATASETS.get(self.num_keypoints, 'coco')
        paths = (CONFIGS / dataset).glob(
            f'td-hm_mipnet-{name}{size or self.size}_{"" if num == 2 else f"n{num}-"}'
            f'8xb*-210e_{dataset}-{input_size}.py'
        )
        return next(paths, None)

    @property
    def insert(self):
        """list[dict]: the positions as ``MIMBBackbone`` takes them."""
        return [PLACES[self.family][name] for name in self.positions]

    def adapt(self, cfg):
        """Make a config of the same family fit."""
        backbone, head = cfg.model.backbone, cfg.model.head
        backbone.insert = self.insert
        head.head.out_channels = self.num_keypoints
        cfg.num_instances = self.num_instances
        for part in (
            backbone,
            head,
            head.head.loss,
            cfg.train_dataloader.dataset,
            cfg.val_evaluator,
            cfg.test_evaluator,
        ):
            part.num_instances = self.num_instances
        if self.family == 'HRNet' and head.head.in_channels != self.size:
            for n in (2, 3, 4):
                channels = tuple(self.size * 2**i for i in range(n))
                backbone.backbone.extra[f'stage{n}'].num_channels = channels
            backbone.backbone.init_cfg = None  # pretrained for another width
            head.head.in_channels = self.size


def choose_config(official, input_size):
    """A config for the model, and its path where it is one of ours, else None."""
    path = official.find_config(input_size)
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
        or official.find_config(input_size, num_instances=2)
        or official.find_config(input_size, size=32, num_instances=2)
    )
    official.adapt(cfg)
    for snippet in (CONFIGS / '_base_').glob('*.py'):
        for name in Config.fromfile(snippet):
            if name not in ('custom_imports', 'num_instances'):
                cfg.pop(name, None)  # what only the configs of ours refer to
    return cfg, None


def convert(state, official, cfg, path):
    """State dict of the config's model with the authors' weights, checked strictly."""
    model_cfg = copy.deepcopy(cfg.model)
    model_cfg.backbone.backbone.init_cfg = None  # nothing to download
    try:
        model = MODELS.build(model_cfg)
    except ValueError as error:
        raise ConversionError(f'{path}: {error}') from error
    ours = model.state_dict()
    keys = {official.official_key(k): k for k in ours if not k.endswith('.gate_scale')}
    problems = {
        'missing': [
            key
            for key in keys
            if key not in state and not key.endswith('.num_batches_tracked')
        ],
        'unexpected': [key for key in state if key not in keys],
        'wrong shape': [
            f'{key} {tuple(state[key].shape)}, expected {tuple(ours[name].shape)}'
            for key, name in keys.items()
            if key in state and state[key].shape != ours[name].shape
        ],
    }
    if any(problems.values()):
        counts = ', '.join(f'{len(items)} {what}' for what, items in problems.items())
        lines = [f'  {what}: {i}' for what, items in problems.items() for i in items]
        raise ConversionError(
            f'{path} is not a whole {official} with MIMBs at '
            f'{", ".join(official.positions)} (keys: {counts})\n' + '\n'.join(lines)
        )
    ours.update({keys[key]: value for key, value in state.items()})
    model.load_state_dict(ours, strict=True)
    return model.state_dict()


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
        checkpoint = dict(state_dict=convert(state, official, cfg, args.src), meta=meta)
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
