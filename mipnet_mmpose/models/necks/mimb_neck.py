from collections.abc import Sequence
from typing import Any, Optional, Union

from mmengine.model import ModuleList
from mmpose.registry import MODELS
from torch import Tensor, nn

from ..lambdas import LambdaModule
from ..mimb import MIMB, channel_axis, map_features
from ..stock_checkpoint import move_stock_keys


@MODELS.register_module()
class MIMBNeck(LambdaModule):
    """Fold the instances into the batch and modulate every feature level.

    Works behind any backbone; the backbone runs once per crop whatever N is.

    Args:
        in_channels (int | Sequence[int | None]): Channels of each feature level that
            the backbone returns, stage by stage; an int for a single level. A level
            given as ``None`` is folded but not modulated; give it for a level that
            the head does not read, whose MIMB would compute for nobody.
        num_instances, reduction, init, bypass_primary: See :class:`MIMB`.
        neck (dict, optional): Config of a stock neck between the backbone and
            the MIMBs; ``in_channels`` are then the channels it returns.
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
        super().__init__(num_instances, init_cfg)
        if isinstance(in_channels, int):
            in_channels = [in_channels]
        self.in_channels = list(in_channels)
        self.neck = None if neck is None else MODELS.build(neck)
        mimb = (num_instances, reduction, init, bypass_primary)
        self.mimbs = ModuleList(
            nn.Identity() if c is None else MIMB(c, *mimb) for c in in_channels
        )

    def forward(self, feats: Any) -> tuple[Any, ...]:
        """Fold and modulate each feature level."""
        if self.neck is not None:
            feats = self.neck(feats)
        if isinstance(feats, Tensor):
            feats = (feats,)
        found: list[int] = []
        map_features(lambda x: found.append(x.size(channel_axis(x))), feats)
        expected = [n if c is None else c for c, n in zip(self.in_channels, found)]
        if len(found) != len(self.in_channels) or found != expected:
            raise ValueError(
                f'model.neck.in_channels is {self.in_channels}, but what comes '
                f'before it gives feature levels of {found} channels'
            )
        return tuple(self.modulate(feats, [True] * len(found)))

    def _load_from_state_dict(self, state_dict, prefix, *args, **kwargs):
        move_stock_keys(self, state_dict, prefix, 'neck')
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)
