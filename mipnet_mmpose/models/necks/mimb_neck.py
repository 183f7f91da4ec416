from typing import Optional, Sequence, Tuple, Union

from mmengine.model import BaseModule, ModuleList
from mmpose.registry import MODELS
from torch import Tensor, nn

from ..lambdas import LambdaModule
from ..mimb import MIMB, fold


@MODELS.register_module()
class MIMBNeck(LambdaModule, BaseModule):
    """Fold the instances into the batch and modulate every feature level.

    Works behind any backbone; the backbone runs once per crop whatever N is.

    Args:
        in_channels (int | Sequence[int | None]): Channels of each feature
            level the backbone returns; an int for a single level. A level
            given as ``None`` is folded but not modulated.
        num_instances (int): Instances N per box. Defaults to 2.
        reduction (int): Reduction of the MIMBs. Defaults to 4.
        init (str): ``'paper'`` or ``'identity'``, see :class:`MIMB`.
            Defaults to ``'paper'``.
        init_cfg (dict, optional): Of :class:`mmengine.model.BaseModule`.

    Shape:
        each level ``(B, C, H, W)`` → ``(B·N, C, H, W)``, sample-major.

    Raises:
        ValueError: where the features do not have the levels and channels of
            ``in_channels``.
    """

    def __init__(
        self,
        in_channels: Union[int, Sequence[Optional[int]]],
        num_instances: int = 2,
        reduction: int = 4,
        init: str = 'paper',
        init_cfg: Optional[dict] = None,
    ):
        super().__init__(init_cfg)
        self._init_lambdas(num_instances)
        if isinstance(in_channels, int):
            in_channels = [in_channels]
        self.in_channels = list(in_channels)
        self.mimbs = ModuleList(
            nn.Identity() if c is None else MIMB(c, num_instances, reduction, init)
            for c in self.in_channels
        )

    def forward(self, feats: Sequence[Tensor]) -> Tuple[Tensor, ...]:
        """Fold and modulate each feature level."""
        channels = [x.size(1) for x in feats]
        if len(channels) != len(self.in_channels) or any(
            expected not in (None, actual)
            for expected, actual in zip(self.in_channels, channels)
        ):
            raise ValueError(
                f'model.neck.in_channels is {self.in_channels}, but the backbone '
                f'gives feature levels of {channels} channels'
            )
        codes = self.codes
        rows = codes.repeat(len(feats[0]), 1)
        outs = []
        for x, mimb in zip(feats, self.mimbs):
            x = fold(x, len(codes))
            outs.append(mimb(x, rows) if isinstance(mimb, MIMB) else x)
        return tuple(outs)
