import copy
from collections.abc import Callable, Sequence
from typing import Any

import torch
from mmengine.model import ModuleList
from mmpose.registry import MODELS
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ..lambdas import LambdaModule
from ..mimb import MIMB, channel_axis, fold, map_features

DRY_CROPS = 2  # of the dry run


class Insertion:
    """What changes the features before or after one submodule of a backbone."""

    __call__: Callable[[Any], Any]

    def attach(self, net: nn.Module, place: dict) -> None:
        """Let the submodule at a place of ``insert`` take or return the change."""
        module = net.get_submodule(place['module'])
        if place['position'] == 'before':
            module.register_forward_pre_hook(self.before)
        else:
            module.register_forward_hook(self.after)

    # bound methods, so that a deep copy of the backbone calls its own MIMBs
    def before(self, module: nn.Module, args: tuple) -> tuple:
        """Forward pre-hook: the first argument holds the features."""
        return (self(args[0]), *args[1:])

    def after(self, module: nn.Module, args: tuple, output: Any) -> Any:
        """Forward hook."""
        return self(output)


class MIMBInsertion(Insertion, LambdaModule):
    """MIMBs for the tensors of one place: their channels, and whether each folds."""

    def __init__(self, tensors: Sequence[tuple[int, bool]], num_instances: int, *mimb):
        super().__init__(num_instances)
        self.folds = [folds for _, folds in tensors]
        self.mimbs = ModuleList(MIMB(c, num_instances, *mimb) for c, _ in tensors)

    def forward(self, feats: Any) -> Any:
        """Modulate the features, a tensor or each one of a list or tuple of them."""
        return self.modulate(feats, self.folds)

    def fold_rest(self, backbone: nn.Module, args: tuple, output: Any) -> Any:
        """Forward hook of the backbone: fold what was taken off before a MIMB."""
        batch_size, num_lambdas = len(args[0]), self.codes.shape[0]
        rows = []

        def fold_if_not(x: Tensor) -> Tensor:
            rows.append(len(x))
            return fold(x, num_lambdas) if len(x) == batch_size else x

        output = map_features(fold_if_not, output)
        if batch_size * num_lambdas not in rows:
            raise RuntimeError(
                'no features of the backbone have passed a MIMB: does this torch leave '
                'forward hooks out of a compiled model? Use MIMBNeck or do not compile'
            )
        return output


@MODELS.register_module()
def MIMBBackbone(
    backbone: dict,
    insert: Sequence[dict] = (
        dict(module='stage4', position='before'),
        dict(module='stage4', position='after'),
    ),
    num_instances: int = 2,
    reduction: int = 4,
    init: str = 'paper',
    input_size: tuple[int, int] = (192, 256),
    bypass_primary: bool = False,
) -> nn.Module:
    """Put MIMBs into any stock backbone, through forward hooks.

    What comes before the first MIMB runs once per crop, the rest once per instance.
    The stock backbone itself is returned, with the MIMBs as its submodule ``mimbs``:
    checkpoints, frozen stages and layer-wise learning rates work as before.

    At a place may be feature maps ``(B, C, H, W)``, tokens ``(B, L, C)`` or pooled
    features ``(B, C)``, alone or in a list; a dry run finds their channels. Where two
    paths of the backbone meet after the first MIMB, each needs a MIMB before they meet.

    The paper's HRNet (the default): before ``stage4`` on its 4 branches and after it
    on the one it returns. The paper's ResNet: before ``layer3`` and ``layer4``.

    Args:
        backbone (dict): Config of the stock backbone.
        insert (Sequence[dict]): One ``dict(module=<path of a submodule>,
            position='before' | 'after')`` per place.
        num_instances, reduction, init, bypass_primary: See :class:`MIMB`.
        input_size (tuple[int, int]): Width and height of the crops of the dry
            run, in pixels. Defaults to (192, 256).

    Shape:
        images ``(B, 3, H, W)`` → each feature level ``(B·N, C, h, w)``.

    Raises:
        ValueError: naming the entry of ``insert`` that the backbone has no
            place for, or where the backbone cannot work on folded rows.
    """
    net = MODELS.build(backbone)
    # sync_bn replaces a batch norm, and its hooks are lost
    modules = {n: m for n, m in net.named_modules() if not isinstance(m, _BatchNorm)}
    for index, place in enumerate(insert):
        given = place if isinstance(place, dict) else {}
        known = given.get('module') in modules
        if not known or given.get('position') not in ('before', 'after'):
            raise ValueError(
                f'model.backbone.insert[{index}] must be dict(module=<path of a '
                "submodule, no batch norm>, position='before' | 'after'), got "
                f'{place!r}; at the top of {type(net).__name__} are '
                f'{[name for name, _ in net.named_children()]}'
            )
    try:
        tensors = _dry_run(net, insert, max(num_instances, 2), input_size)
    except PlaceError:
        raise
    except Exception as error:  # a backbone may ask for its size in any words
        raise ValueError(
            f'model.backbone.insert: a dry run of {type(net).__name__} fails '
            f'({error}). Either the folded rows meet rows from before the first '
            f'place, or input_size={tuple(input_size)} does not suit it'
        ) from error
    mimb = (num_instances, reduction, init, bypass_primary)
    net.mimbs = ModuleList(MIMBInsertion(found, *mimb) for found in tensors.values())
    for index, mimbs in zip(tensors, net.mimbs):
        mimbs.attach(net, insert[index])
    net.register_forward_hook(net.mimbs[0].fold_rest)
    return net


class PlaceError(ValueError):
    """What is wrong with a place of ``insert``, in the user's words."""


class DryInsertion(Insertion):
    """Folds as MIMBs would, and notes the channels of a place and what folds there."""

    def __init__(self, index: int, found: dict, num_instances: int):
        self.index, self.found, self.num_instances = index, found, num_instances

    def __call__(self, feats: Any) -> Any:
        """Fold what still has one row per crop."""
        where = f'model.backbone.insert[{self.index}]'
        if self.index in self.found:
            raise PlaceError(f'{where}: the module runs twice in a forward pass')
        folded = any(folds for tensors in self.found.values() for _, folds in tensors)
        rows = DRY_CROPS * (self.num_instances if folded else 1)
        tensors = self.found[self.index] = []

        def visit(x: Tensor) -> Tensor:
            if len(x) not in (DRY_CROPS, rows):
                raise PlaceError(
                    f'{where}: there are {len(x)} rows of features for {DRY_CROPS} '
                    'crops at this place. A MIMB needs one per crop, no windows'
                )
            tensors.append((x.size(channel_axis(x)), len(x) == DRY_CROPS))
            return fold(x, self.num_instances) if len(x) == DRY_CROPS else x

        return map_features(visit, feats)


def _dry_run(
    net: nn.Module,
    insert: Sequence[dict],
    num_instances: int,
    input_size: tuple[int, int],
) -> dict[int, list[tuple[int, bool]]]:
    """Channels of the tensors at each place and which fold, in running order."""
    found: dict[int, list[tuple[int, bool]]] = {}
    net = copy.deepcopy(net)  # which keeps the hooks
    net.eval()
    stock = _shapes(net, 1, input_size)
    for index, place in enumerate(insert):
        DryInsertion(index, found, num_instances).attach(net, place)
    folded = _shapes(net, DRY_CROPS, input_size)
    for index in range(len(insert)):
        if not found.get(index):
            raise PlaceError(f'model.backbone.insert[{index}]: no features pass here')
    rows = {shape[0] for shape in folded}
    whole = DRY_CROPS * num_instances
    alike = [shape[1:] for shape in folded] == [shape[1:] for shape in stock]
    if not alike or whole not in rows or not rows <= {DRY_CROPS, whole}:
        raise PlaceError(
            f'model.backbone.insert: {type(net).__name__} returns {folded} for '
            f'{DRY_CROPS} crops of {num_instances} instances, alone {stock} for one: '
            'no place is before these, or it cuts them by the crops. Use MIMBNeck'
        )
    return found


def _shapes(net: nn.Module, crops: int, input_size: tuple[int, int]) -> list[tuple]:
    """Shape of each tensor of features that a backbone returns."""
    shapes: list[tuple] = []
    with torch.no_grad():
        output = net(torch.zeros(crops, 3, *input_size[::-1]))
    map_features(lambda x: shapes.append(tuple(x.shape)), output)
    return shapes
