"""The weights of the authors' MIPNet: what they are of, and under which names."""

import copy
import re
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


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Tensors by the authors' key names, from a state dict or a training checkpoint."""
    try:
        loaded = torch.load(path, map_location='cpu', weights_only=True)
    except Exception as error:  # a damaged file can raise anything
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ValueError(
            f'{path} cannot be read with torch.load(weights_only=True): {reason}'
        ) from error
    names = ('latest_state_dict', 'state_dict', 'best_state_dict', 'model')
    nested = [loaded.get(name) for name in names] if isinstance(loaded, dict) else []
    for state in (loaded, *nested):
        if isinstance(state, dict) and state:
            if all(isinstance(item, Tensor) for item in state.values()):
                return {re.sub(r'^module\.', '', str(k)): v for k, v in state.items()}
    raise ValueError(f'{path} holds no state dict, but a {type(loaded).__name__}')


class OfficialModel:
    """What a state dict by the authors' key names tells about its model.

    Its ``family``, ``'HRNet'`` or ``'ResNet'``, its ``size``, width or depth, and which
    ``positions`` of ``PLACES`` have MIMBs.
    """

    def __init__(self, state: dict[str, Tensor], path: Path):
        modules = {key.split('.')[0] for key in state}
        blocks = tuple(
            len({key.split('.')[1] for key in state if key.startswith(f'layer{n}.')})
            for n in (1, 2, 3, 4)
        )
        if 'stage4' in modules:
            self.family = 'HRNet'
            branch = re.compile(r'stage[234]\.\d+\.branches\.0\.\d+\.conv1\.weight')
            self.size = next((len(v) for k, v in state.items() if branch.match(k)), 32)
        elif blocks in RESNET_DEPTHS:
            self.family, self.size = 'ResNet', RESNET_DEPTHS[blocks]
        else:
            raise ValueError(
                f'{path} is neither an HRNet nor a ResNet-50, -101 or -152 in the '
                f"authors' key names: its first key is {next(iter(state))}"
            )
        places = PLACES[self.family]
        self.positions = [name for name in places if name in modules]
        self.insert = [places[name] for name in self.positions]
        if not self.positions:
            raise ValueError(
                f'{path} is a plain {self}: it has no MIMBs ({", ".join(places)})'
            )
        codes = [v for k, v in state.items() if k.endswith('.fc_lambda.0.weight')]
        self.num_instances = codes[0].shape[-1] if codes else 2
        self.num_keypoints = len(state.get('final_layer.weight', range(17)))

    def __str__(self) -> str:
        return f'{self.family}-{"W" if self.family == "HRNet" else ""}{self.size}'

    def our_key(self, key: str) -> str:
        """The name in a model of ours for a key of the authors'."""
        names = '|'.join(self.positions)
        match = re.fullmatch(rf'({names})\.se_layers\.(\d+)\.(fc|fc_lambda)\.(.+)', key)
        if match is None:
            part = 'head.head' if re.match('(final|deconv)_layer', key) else 'backbone'
            return f'{part}.{key}'
        position, branch, layers, rest = match.groups()
        layers = {'fc': 'excite', 'fc_lambda': 'embed'}[layers]
        place = self.positions.index(position)
        return f'backbone.mimbs.{place}.mimbs.{branch}.{layers}.{rest}'


def convert_state_dict(
    state: dict[str, Tensor], official: OfficialModel, model: ConfigDict, path: Path
) -> dict[str, Tensor]:
    """State dict of our model, whose config is given, with the authors' weights.

    Raises:
        ValueError: names each key that is missing, unexpected or misshapen.
    """
    model = copy.deepcopy(model)
    model.backbone.backbone.init_cfg = None  # nothing to download
    ours = MODELS.build(model)
    added = ('.gate_scale', '.bypass_primary', '.num_batches_tracked')
    weights = {key: v for key, v in ours.state_dict().items() if key.endswith(added)}
    weights.update((official.our_key(key), value) for key, value in state.items())
    try:
        ours.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(
            f'{path} is not a whole {official} with MIMBs at '
            f'{", ".join(official.positions)}: {error}'
        ) from error
    return ours.state_dict()
