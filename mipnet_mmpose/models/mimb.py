"""The multi-instance modulation block and the folding of instances.

MIPNet: Khirodkar, Chari, Agrawal, Tyagi, "Multi-Instance Pose Networks:
Rethinking Top-Down Pose Estimation", ICCV 2021, Sec. 3.2.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from mmengine.model import BaseModule
from torch import Tensor, nn


def encode_lambdas(lambdas: Sequence[float], num_instances: int) -> Tensor:
    """Place each λ on the simplex of the N instances.

    An integer i gives the i-th one-hot row, a real λ interpolates its two
    neighbours. For N = 2 this is ``[1 - λ, λ]``.

    Args:
        lambdas (Sequence[float]): L values in [0, N - 1].
        num_instances (int): N, the number of instances per box.

    Returns:
        Tensor: codes, shape (L, N), rows sum to 1.

    Raises:
        ValueError: if there is no λ, or one is not a number in [0, N - 1].
    """
    lambdas = [float(value) for value in lambdas]
    if not lambdas:
        raise ValueError('lambdas is empty: give at least one value')
    for value in lambdas:
        if not 0 <= value <= num_instances - 1:
            raise ValueError(
                f'lambda = {value} is outside 0 ... {num_instances - 1}, '
                f'the range of num_instances={num_instances}'
            )
    values = torch.tensor(lambdas, dtype=torch.float64)
    distance = (values[:, None] - torch.arange(num_instances)).abs()
    return (1 - distance).clamp(min=0).float()


def fold(x: Tensor, num_instances: int) -> Tensor:
    """Repeat each of B samples N times, sample-major: (B, ...) → (B·N, ...)."""
    return x[:, None].expand(-1, num_instances, *x.shape[1:]).flatten(0, 1)


def unfold(rows: Tensor, num_instances: int) -> Tensor:
    """Group B·N sample-major rows by sample: (B·N, ...) → (B, N, ...)."""
    return rows.reshape(-1, num_instances, *rows.shape[1:])


def channel_axis(x: Tensor) -> int:
    """Axis of the channels in ``(M, C, H, W)``, ``(M, C)`` or tokens ``(M, L, C)``."""
    return 2 if x.dim() == 3 else 1


def global_average(x: Tensor) -> Tensor:
    """Pool ``(M, C, H, W)``, tokens ``(M, L, C)`` or ``(M, C)`` → ``(M, C)``."""
    if x.dim() == 3:
        return x.mean(1)
    return x.flatten(2).mean(2) if x.dim() > 2 else x


def first_tensor(feats: Any) -> Tensor:
    """The first tensor of features, alone or in lists and tuples."""
    while not isinstance(feats, Tensor):
        feats = feats[0]
    return feats


def map_features(function: Callable[[Tensor], Tensor], feats: Any) -> Any:
    """Apply a function to each tensor of features, alone or in lists and tuples."""
    if isinstance(feats, (list, tuple)):
        return type(feats)(map_features(function, x) for x in feats)
    if isinstance(feats, Tensor) and feats.dim() > 1:
        return function(feats)
    return feats


class MIMB(BaseModule):
    """Multi-instance modulation block.

    ``out = x * excite(squeeze(x)) * embed(lambda)``, per channel (MIPNet,
    ICCV 2021, Sec. 3.2). The layers are those of the authors' release.

    Args:
        channels (int): Channels C of the features.
        num_instances (int): Instances N per box. Defaults to 2.
        reduction (int): C is divided by it in the hidden layers. Defaults to 4.
        init (str): ``'paper'`` draws the weights as the authors do, gates then start
            near 1/4. ``'identity'`` starts with every gate at exactly 1, so that a
            pretrained network is left as it was. Defaults to ``'paper'``.
        bypass_primary (bool): λ = 0 passes unmodulated, as in the stock model; the
            gate of an interpolated λ is interpolated too. Defaults to False.

    Shape:
        x ``(M, C, H, W)``, tokens ``(M, L, C)`` or pooled ``(M, C)``, code
        ``(M, N)`` → as x.

    Raises:
        ValueError: where an argument is out of its range, or a checkpoint is of
            another ``num_instances`` or ``bypass_primary``.
    """

    def __init__(
        self,
        channels: int,
        num_instances: int = 2,
        reduction: int = 4,
        init: str = 'paper',
        bypass_primary: bool = False,
    ):
        super().__init__()
        if num_instances < 1:
            raise ValueError(f'num_instances must be at least 1, got {num_instances}')
        if init not in ('paper', 'identity'):
            raise ValueError(f"init must be 'paper' or 'identity', got {init!r}")
        if not 1 <= reduction <= channels:
            raise ValueError(f'reduction must be in 1 ... {channels}, got {reduction}')
        self.channels = channels
        self.num_instances = num_instances
        self.init = init
        self.was_loaded = None  # False: a checkpoint was read that has no weights of it
        hidden = channels // reduction
        self.excite = nn.Sequential(
            nn.Linear(channels, hidden, bias=False),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, channels, bias=False),
            nn.Sigmoid(),
        )
        self.embed = nn.Sequential(
            nn.Linear(num_instances, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(inplace=True),
            nn.Linear(hidden, channels),
            nn.Sigmoid(),
        )
        # buffers, so that a checkpoint says which gate its weights belong to
        self.register_buffer('gate_scale', torch.tensor(1.0))
        self.register_buffer('bypass_primary', torch.tensor(float(bypass_primary)))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the initial weights."""
        for layers in (self.excite, self.embed):
            first, last = layers[0], layers[-2]
            if self.init == 'paper':
                nn.init.normal_(first.weight, std=0.001)
                nn.init.normal_(last.weight, std=0.001)
            else:
                first.reset_parameters()
                nn.init.zeros_(last.weight)
            for layer in (first, last):
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)
        self.embed[1].reset_parameters()
        # two sigmoids at 0 give a gate of 1/4
        self.gate_scale.fill_(4.0 if self.init == 'identity' else 1.0)

    init_weights = reset_parameters  # undoes what the init_cfg of a parent did

    def train(self, mode: bool = True) -> 'MIMB':
        """As of any module; what is trained needs no checkpoint."""
        if mode:
            self.was_loaded = None
        return super().train(mode)

    def forward(self, x: Tensor, code: Tensor) -> Tensor:
        """Modulate the features of M crops, each for the instance in its code."""
        if self.embed[1].training != self.training:
            # norm_eval of a stock backbone means the stock statistics alone
            self.embed[1].train(self.training)
        if self.training and len(code) == 1:
            # batch norm refuses one row; two equal rows normalise alike
            code = code.expand(2, -1)
        gate = self.excite(global_average(x)) * self.embed(code)[: x.shape[0]]
        gate = gate * self.gate_scale
        past = self.bypass_primary * code[: x.shape[0], :1].to(gate)
        gate = gate * (1 - past) + past
        if x.dim() == 3:
            return x * gate[:, None]
        return x * gate.reshape(*gate.shape, *[1] * (x.dim() - 2))

    def _load_from_state_dict(self, state_dict, prefix, *args, **kwargs):
        weight = state_dict.get(f'{prefix}embed.0.weight')
        self.was_loaded = bool(self.was_loaded) or weight is not None
        if weight is not None:
            # checkpoints of before it was an option have no bypass_primary
            bypass = state_dict.setdefault(f'{prefix}bypass_primary', torch.tensor(0.0))
            for key, stored, own in (
                ('num_instances', weight.shape[1], self.num_instances),
                ('bypass_primary', bool(bypass), bool(self.bypass_primary)),
            ):
                if stored != own:
                    raise ValueError(
                        f'the checkpoint has {key}={stored} at {prefix[:-1]}, the '
                        f'config has {key}={own}'
                    )
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
