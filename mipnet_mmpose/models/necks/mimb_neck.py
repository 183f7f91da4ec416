from collections.abc import Sequence
from typing import Any, Optional, Union

from mmengine.model import BaseModule, ModuleList
from mmpose.registry import MODELS
from torch import Tensor, nn

from ..lambdas import LambdaModule
from ..mimb import MIMB, channel_axis, fold, linked, map_features
from ..stock_checkpoint import move_stock_keys


@MODELS.register_module()
class MIMBNeck(LambdaModule, BaseModule):
    """Fold the instances into the batch and modulate every feature level.

    Works behind any backbone; the backbone runs once per crop whatever N is.

    Args:
        in_channels (int | Sequence[int | None]): Channels of each feature
            level the backbone returns; an int for a single level. A level
            given as ``None`` is folded but not modulated; give it for a level that
            the head does not read, whose MIMB would compute for nobody. Where each
            stage of the backbone gives a list of levels, those of the first stage
            come first.
        num_instances (int): Instances N per box. Defaults to 2.
        reduction (int): Reduction of the MIMBs. Defaults to 4.
        init (str): ``'paper'`` or ``'identity'``, see :class:`MIMB`.
            Defaults to ``'paper'``.
        neck (dict, optional): Config of a stock neck between the backbone and
            the MIMBs; ``in_channels`` are then the channels it returns.
        bypass_primary (bool): See :class:`MIMB`. Defaults to False.
        init_cfg (dict, optional): Of :class:`mmengine.model.BaseModule`.

    Shape:
        each level ``(B, C, H, W)`` → ``(B·N, C, H, W)``, sample-major; in the
        same way tokens ``(B, L, C)`` and pooled features ``(B, C)``.

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
        neck: Optional[dict] = None,
        bypass_primary: bool = False,
        init_cfg: Optional[dict] = None,
    ):
        super().__init__(init_cfg)
        self._init_lambdas(num_instances)
        if isinstance(in_channels, int):
            in_channels = [in_channels]
        if not in_channels or not all(
            c is None or isinstance(c, int) and c > 0 for c in in_channels
        ):
            raise ValueError(
                'model.neck.in_channels must be the channels of each feature level, '
                f'integers or None, got {in_channels!r}'
            )
        self.in_channels = list(in_channels)
        self.neck = None if neck is None else MODELS.build(neck)
        mimb = dict(
            num_instances=num_instances,
            reduction=reduction,
            init=init,
            bypass_primary=bypass_primary,
        )
        self.mimbs = ModuleList(
            nn.Identity() if c is None else MIMB(c, **mimb) for c in self.in_channels
        )

    def forward(self, feats: Any) -> tuple[Any, ...]:
        """Fold and modulate each feature level."""
        if self.neck is not None:
            feats = self.neck(feats)
        if isinstance(feats, Tensor):
            feats = (feats,)
        levels = []
        map_features(levels.append, feats)
        channels = [x.size(channel_axis(x)) for x in levels]
        if len(channels) != len(self.in_channels) or any(
            expected not in (None, actual)
            for expected, actual in zip(self.in_channels, channels)
        ):
            raise ValueError(
                f'model.neck.in_channels is {self.in_channels}, but what comes '
                f'before it gives feature levels of {channels} channels'
            )
        codes = self.codes
        rows = codes.repeat(levels[0].shape[0], 1)
        if self.training:
            rows = linked(rows, self.mimbs)
        mimbs = iter(self.mimbs)

        def modulate(x: Tensor) -> Tensor:
            x, mimb = fold(x, codes.shape[0]), next(mimbs)
            return mimb(x, rows) if isinstance(mimb, MIMB) else x

        return tuple(map_features(modulate, feats))

    def _load_from_state_dict(self, state_dict, prefix, *args, **kwargs):
        move_stock_keys(self, state_dict, prefix, 'neck')
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
