"""The weights of the authors' MIPNet: what they are of, and under which names."""

import copy
import re
import warnings
from collections import Counter
from pathlib import Path
from typing import Dict, List

import torch
from mmengine.config import ConfigDict
from mmpose.registry import MODELS
from torch import Tensor

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


def read_state_dict(path: Path) -> Dict[str, Tensor]:
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

    def __init__(self, state: Dict[str, Tensor], path: Path):
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
    def _width(state: Dict[str, Tensor], path: Path) -> int:
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
    def _depth(state: Dict[str, Tensor], path: Path) -> int:
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

    def __str__(self) -> str:
        return f'{self.family}-{"W" if self.family == "HRNet" else ""}{self.size}'

    def official_key(self, key: str) -> str:
        """The authors' name for a key of ours."""
        pattern = r'backbone\.mimbs\.(\d+)\.mimbs\.(\d+)\.(excite|embed)\.(.+)'
        match = re.fullmatch(pattern, key)
        if match is None:
            return re.sub(r'^(backbone|head\.head)\.', '', key)
        place, branch, layers, rest = match.groups()
        layers = {'excite': 'fc', 'embed': 'fc_lambda'}[layers]
        return f'{self.positions[int(place)]}.se_layers.{branch}.{layers}.{rest}'

    @property
    def insert(self) -> List[dict]:
        """The positions as ``MIMBBackbone`` takes them."""
        return [PLACES[self.family][name] for name in self.positions]


def convert_state_dict(
    state: Dict[str, Tensor], official: OfficialModel, model: ConfigDict, path: Path
) -> Dict[str, Tensor]:
    """State dict of a model of ours with the authors' weights, checked strictly.

    Args:
        state (dict): of :func:`read_state_dict`.
        official (OfficialModel): what it tells.
        model (ConfigDict): config of the model of ours.
        path (Path): for the error messages.

    Raises:
        ConversionError: names each key that is missing, unexpected or of another
            shape.
    """
    model_cfg = copy.deepcopy(model)
    model_cfg.backbone.backbone.init_cfg = None  # nothing to download
    try:
        model = MODELS.build(model_cfg)
    except ValueError as error:
        raise ConversionError(f'{path}: {error}') from error
    ours = model.state_dict()
    flags = ('.gate_scale', '.bypass_primary')
    keys = {official.official_key(k): k for k in ours if not k.endswith(flags)}
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
