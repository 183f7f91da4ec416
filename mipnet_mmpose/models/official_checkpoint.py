"""The weights of the authors' MIPNet: what they are of, and under which names."""

import copy
import re
import warnings
from collections import Counter
from pathlib import Path

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
        f'layer{n}_se': dict(module=f'layer{n}', position='before') for n in range(1, 5)
    },
}


class ConversionError(Exception):
    """What is wrong with a checkpoint, in a sentence that names the file."""


def read_state_dict(path: Path) -> dict[str, Tensor]:
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
            if all(isinstance(item, Tensor) for item in state.values()):
                return {re.sub(r'^module\.', '', str(k)): v for k, v in state.items()}
    raise ConversionError(
        f'{path} holds no state dict (a dict of tensors, or a checkpoint with one '
        f"under 'state_dict'), but a {type(loaded).__name__}"
    )


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

    def __init__(self, state: dict[str, Tensor], path: Path):
        modules = {key.split('.')[0] for key in state}
        if 'stage4' in modules:
            self.family = 'HRNet'
            branch = r'stage[234]\.\d+\.branches\.0\.\d+\.conv1\.weight'
            widths = [
                value.shape[0]
                for key, value in state.items()
                if re.fullmatch(branch, key) and value.dim()
            ]
            # the commonest, should a few tensors be of another width
            self.size = Counter(widths).most_common(1)[0][0] if widths else 32
        elif 'layer4' in modules:
            self.family = 'ResNet'
            blocks = tuple(
                len({k.split('.')[1] for k in state if k.startswith(f'layer{n}.')})
                for n in (1, 2, 3, 4)
            )
            if blocks not in RESNET_DEPTHS:
                raise ConversionError(
                    f'{path}: a ResNet with {blocks} blocks is none of ResNet-'
                    + ', '.join(str(depth) for depth in RESNET_DEPTHS.values())
                )
            self.size = RESNET_DEPTHS[blocks]
        else:
            raise ConversionError(
                f"{path} is neither an HRNet nor a ResNet in the authors' key names: "
                f'its first key is {next(iter(state))}'
            )
        places = PLACES[self.family]
        self.positions = [name for name in places if name in modules]
        self.insert = [places[name] for name in self.positions]
        if not self.positions:
            raise ConversionError(
                f'{path} is a plain {self}: it has no MIMBs ({", ".join(places)})'
            )
        codes = [v for k, v in state.items() if k.endswith('.fc_lambda.0.weight')]
        self.num_instances = [*(code.shape[-1] for code in codes if code.dim()), 2][0]
        final = state.get('final_layer.weight')
        self.num_keypoints = len(final) if final is not None and final.dim() else 17

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


def convert_state_dict(
    state: dict[str, Tensor], official: OfficialModel, model: ConfigDict, path: Path
) -> dict[str, Tensor]:
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
    model = copy.deepcopy(model)
    model.backbone.backbone.init_cfg = None  # nothing to download
    try:
        ours = MODELS.build(model).state_dict()
    except ValueError as error:
        raise ConversionError(f'{path}: {error}') from error
    flags = ('.gate_scale', '.bypass_primary')
    keys = {official.official_key(k): k for k in ours if not k.endswith(flags)}
    problems: list[str] = [
        f'missing: {key}'
        for key in keys
        if key not in state and not key.endswith('.num_batches_tracked')
    ]
    for key, value in state.items():
        if key not in keys:
            problems.append(f'unexpected: {key}')
        elif value.shape != ours[keys[key]].shape:
            expected = tuple(ours[keys[key]].shape)
            problems.append(
                f'wrong shape: {key} {tuple(value.shape)}, expected {expected}'
            )
    if problems:
        raise ConversionError(
            f'{path} is not a whole {official} with MIMBs at '
            f'{", ".join(official.positions)} ({len(problems)} keys)\n  '
            + '\n  '.join(problems)
        )
    return {**ours, **{keys[key]: value for key, value in state.items()}}
