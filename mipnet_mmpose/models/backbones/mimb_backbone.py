from collections.abc import Sequence
from typing import Any, Optional

import torch
from mmengine.model import BaseModule, ModuleList
from mmpose.registry import MODELS
from torch import Tensor, nn

from ..lambdas import LambdaModule
from ..mimb import MIMB, channel_axis, fold, linked, map_features


class PlaceError(ValueError):
    """What is wrong with a place of ``insert``, in the user's words."""


class MIMBInsertion(LambdaModule, BaseModule):
    """The MIMBs before or after one submodule of a backbone, one per tensor.

    Args:
        channels (Sequence[int]): Channels of the tensors that the submodule
            takes or returns, in their order.
        folds (Sequence[bool]): Whether each of them still has one row per crop and
            is folded here.
        num_instances (int): Instances N per box.
        **kwargs: For each :class:`MIMB`.
    """

    def __init__(
        self,
        channels: Sequence[int],
        folds: Sequence[bool],
        num_instances: int,
        **kwargs,
    ):
        super().__init__()
        self._init_lambdas(num_instances)
        self.folds = list(folds)
        self.mimbs = ModuleList(MIMB(c, num_instances, **kwargs) for c in channels)

    def forward(self, feats: Any) -> Any:
        """Modulate the features, a tensor or each one of a list or tuple of them."""
        codes = linked(self.codes, self.mimbs) if self.training else self.codes
        blocks = zip(self.mimbs, self.folds)

        def modulate(x: Tensor) -> Tensor:
            mimb, folds = next(blocks)
            if folds:
                x = fold(x, codes.shape[0])
            return mimb(x, codes.repeat(x.shape[0] // codes.shape[0], 1))

        return map_features(modulate, feats)

    # bound methods, so that a deep copy of the backbone calls its own MIMBs
    def before(self, module: nn.Module, args: tuple) -> tuple:
        """Forward pre-hook: the first argument holds the features."""
        return (self(args[0]), *args[1:])

    def after(self, module: nn.Module, args: tuple, output: Any) -> Any:
        """Forward hook."""
        return self(output)

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
                'no features that the backbone returns have passed a MIMB: either '
                'model.backbone.insert names no place before them, or this torch '
                f'({torch.__version__}) leaves forward hooks out of a compiled model: '
                'use MIMBNeck or a newer torch, or do not compile'
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
    channels: Optional[Sequence[Sequence[int]]] = None,
    input_size: tuple[int, int] = (192, 256),
    bypass_primary: bool = False,
) -> nn.Module:
    """Put MIMBs into any stock backbone, through forward hooks.

    What comes before the first MIMB runs once per crop, the rest once per
    instance. The stock backbone itself is returned, with the MIMBs as its
    submodule ``mimbs``: checkpoints, frozen stages and layer-wise learning
    rates, which name the stock parameters, work as before.

    At a place may be feature maps ``(B, C, H, W)``, tokens ``(B, L, C)`` or pooled
    features ``(B, C)``, alone or in a list. Where two paths of the backbone meet
    after the first MIMB, each needs a MIMB before they meet.

    The paper's HRNet (the default): before ``stage4`` on its 4 branches and
    after it on the one branch it returns. The paper's ResNet: before
    ``layer3`` and before ``layer4``.

    Args:
        backbone (dict): Config of the stock backbone.
        insert (Sequence[dict]): One ``dict(module=<path of a submodule>,
            position='before' | 'after')`` per place.
        num_instances (int): Instances N per box. Defaults to 2.
        reduction (int): Reduction of the MIMBs. Defaults to 4.
        init (str): ``'paper'`` or ``'identity'``, see :class:`MIMB`.
            Defaults to ``'paper'``.
        channels (Sequence[Sequence[int]], optional): Channels of the features
            at each place of ``insert``. By default one dry run finds them;
            where it cannot run, ``insert`` must name the places in the order
            in which they run, and the first one alone folds.
        input_size (tuple[int, int]): Width and height of the crops of the dry
            run, in pixels. Defaults to (192, 256).
        bypass_primary (bool): See :class:`MIMB`. Defaults to False.

    Shape:
        images ``(B, 3, H, W)`` → each feature level ``(B·N, C, h, w)``.

    Raises:
        ValueError: naming the entry of ``insert`` that the backbone has no
            place for, or where the backbone cannot work on folded rows.
    """
    net = MODELS.build(backbone)
    modules = dict(net.named_modules())
    places = []
    for index, place in enumerate(insert):
        where = f'model.backbone.insert[{index}]'
        positions = ('before', 'after')
        if not isinstance(place, dict) or place.get('position') not in positions:
            raise ValueError(
                f"{where} must be dict(module=<path>, position='before' | 'after'), "
                f'got {place!r}'
            )
        path, position = place.get('module'), place['position']
        if path not in modules:
            children = ', '.join(name for name, _ in net.named_children())
            raise ValueError(
                f'{where}: {type(net).__name__} has no submodule {path!r}; at its '
                f'top are {children}'
            )
        places.append((modules[path], position))
    if not places:
        raise ValueError('model.backbone.insert is empty: name at least one place')

    if channels is not None and len(channels) != len(places):
        raise ValueError(
            f'model.backbone.channels has {len(channels)} entries for '
            f'{len(places)} places in model.backbone.insert'
        )
    try:
        order, found, folds = _dry_run(net, places, num_instances, input_size)
    except ValueError as error:
        if channels is None or isinstance(error, PlaceError):
            raise
        found = channels
        folds = [[index == 0] * len(c) for index, c in enumerate(channels)]
    else:
        places = [places[index] for index in order]
        if channels is not None and [list(channels[i]) for i in order] != found:
            raise ValueError(
                f'model.backbone.channels is {list(channels)}, but a dry run finds '
                f'{[found[order.index(i)] for i in range(len(order))]}'
            )
    mimb = dict(reduction=reduction, init=init, bypass_primary=bypass_primary)
    net.mimbs = ModuleList(
        MIMBInsertion(c, f, num_instances, **mimb) for c, f in zip(found, folds)
    )
    for (module, position), mimbs in zip(places, net.mimbs):
        if position == 'before':
            module.register_forward_pre_hook(mimbs.before)
        else:
            module.register_forward_hook(mimbs.after)
    net.register_forward_hook(net.mimbs[0].fold_rest)
    return net


def _dry_run(
    net: nn.Module,
    places: Sequence[tuple[nn.Module, str]],
    num_instances: int,
    input_size: tuple[int, int],
) -> tuple[list[int], list[list[int]], list[list[bool]]]:
    """Find the order in which the places run, their channels and which fold."""
    batch_size = 2
    num_instances = max(num_instances, 2)  # so that folded rows show
    order: list[int] = []
    channels: list[list[int]] = []
    folds: list[list[bool]] = []

    def record(index: int, feats: Any) -> Any:
        if index in order:
            raise PlaceError(
                f'model.backbone.insert[{index}]: the module runs more than once '
                'in a forward pass'
            )
        order.append(index)
        channels.append([])
        folds.append([])

        def visit(x: Tensor) -> Tensor:
            folded = any(any(place) for place in folds[:-1])
            rows = batch_size * num_instances if folded else batch_size
            if len(x) not in (batch_size, rows):
                raise PlaceError(
                    f'model.backbone.insert[{index}]: there are {len(x)} rows of '
                    f'features for {batch_size} crops at this place, a MIMB needs '
                    'one per crop (are they parts of a crop, such as windows?)'
                )
            channels[-1].append(x.size(channel_axis(x)))
            folds[-1].append(len(x) == batch_size)
            return fold(x, num_instances) if folds[-1][-1] else x

        return map_features(visit, feats)

    handles = []
    for index, (module, position) in enumerate(places):
        if position == 'before':
            handle = module.register_forward_pre_hook(
                lambda _, args, index=index: (record(index, args[0]), *args[1:])
            )
        else:
            handle = module.register_forward_hook(
                lambda _, args, output, index=index: record(index, output)
            )
        handles.append(handle)
    training = {module: module.training for module in net.modules()}
    try:
        folded = _shapes(net, batch_size, input_size)
        for handle in handles:
            handle.remove()
        stock = _shapes(net, 1, input_size)
    except PlaceError:
        raise
    except Exception as error:  # a backbone may ask for its size in any words
        raise ValueError(
            f'model.backbone: a dry run of {type(net).__name__} with MIMBs at '
            f'model.backbone.insert fails ({error}). Either the folded rows meet '
            'rows from before the first place, or model.backbone.input_size='
            f'{tuple(input_size)} does not suit the backbone'
        ) from error
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in training.items():
            module.training = mode
    for index in range(len(places)):
        if index not in order:
            raise PlaceError(
                f'model.backbone.insert[{index}]: the module does not run in a '
                'forward pass of the backbone'
            )
        if not channels[order.index(index)]:
            raise PlaceError(
                f'model.backbone.insert[{index}]: there are no features at this place'
            )
    rows = {batch_size, batch_size * num_instances}
    alike = [found[1:] for found in folded] == [alone[1:] for alone in stock]
    found_rows = {found[0] for found in folded}
    if not alike or not found_rows <= rows or found_rows == {batch_size}:
        raise PlaceError(
            f'model.backbone: with MIMBs at model.backbone.insert {type(net).__name__} '
            f'returns {folded} for {batch_size} images of {num_instances} instances, '
            f'without them {stock} for one image: it cuts its features by the number '
            'of images, or no place is before them. Use MIMBNeck'
        )
    return order, channels, folds


def _shapes(net: nn.Module, num: int, input_size: tuple[int, int]) -> list[tuple]:
    """Shape of each tensor that a backbone returns in inference mode."""
    width, height = input_size
    shapes = []
    net.eval()
    with torch.no_grad():
        output = net(torch.zeros(num, 3, height, width))
    map_features(lambda x: shapes.append(tuple(x.shape)), output)
    return shapes
