from typing import Any, List, Optional, Sequence, Tuple

import torch
from mmengine.model import BaseModule, ModuleList
from mmpose.registry import MODELS
from torch import Tensor, nn

from ..lambdas import LambdaModule
from ..mimb import MIMB, fold


class MIMBInsertion(LambdaModule, BaseModule):
    """The MIMBs before or after one submodule of a backbone, one per tensor.

    Args:
        channels (Sequence[int]): Channels of the tensors that the submodule
            takes or returns, in their order.
        folds (bool): Whether this is the first insertion, which folds.
        num_instances (int): Instances N per box.
        reduction (int): Reduction of the MIMBs.
        init (str): See :class:`MIMB`.
    """

    def __init__(
        self,
        channels: Sequence[int],
        folds: bool,
        num_instances: int,
        reduction: int,
        init: str,
    ):
        super().__init__()
        self._init_lambdas(num_instances)
        self.folds = folds
        self.mimbs = ModuleList(
            MIMB(c, num_instances, reduction, init) for c in channels
        )

    def forward(self, feats: Any) -> Any:
        """Modulate a feature map, or each one of a list or tuple of them."""
        codes = self.codes
        mimbs = iter(self.mimbs)

        def modulate(x: Tensor) -> Tensor:
            if self.folds:
                x = fold(x, len(codes))
            return next(mimbs)(x, codes.repeat(len(x) // len(codes), 1))

        return _map_feature_maps(modulate, feats)

    # bound methods, so that a deep copy of the backbone calls its own MIMBs
    def before(self, module: nn.Module, args: Tuple) -> Tuple:
        """Forward pre-hook: the first argument holds the features."""
        return (self(args[0]), *args[1:])

    def after(self, module: nn.Module, args: Tuple, output: Any) -> Any:
        """Forward hook."""
        return self(output)

    def fold_rest(self, backbone: nn.Module, args: Tuple, output: Any) -> Any:
        """Forward hook of the backbone: fold what was taken off before a MIMB."""
        batch_size, num_lambdas = len(args[0]), len(self.codes)
        return _map_feature_maps(
            lambda x: fold(x, num_lambdas) if len(x) == batch_size else x, output
        )


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
    input_size: Tuple[int, int] = (192, 256),
) -> nn.Module:
    """Put MIMBs into any stock backbone, through forward hooks.

    What comes before the first MIMB runs once per crop, the rest once per
    instance. The stock backbone itself is returned, with the MIMBs as its
    submodule ``mimbs``: checkpoints, frozen stages and layer-wise learning
    rates, which name the stock parameters, work as before.

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
        channels (Sequence[Sequence[int]], optional): Channels of the feature
            maps at each place of ``insert``. By default one dry run finds them;
            where it cannot run, ``insert`` must name the places in the order
            in which they run.
        input_size (tuple[int, int]): Width and height of the crops of the dry
            run, in pixels. Defaults to (192, 256).

    Shape:
        images ``(B, 3, H, W)`` → each feature level ``(B·N, C, h, w)``.

    Raises:
        ValueError: naming the entry of ``insert`` that the backbone has no
            place for, or where the folded rows meet rows that are not.
    """
    net = MODELS.build(backbone)
    modules = dict(net.named_modules())
    places = []
    for index, place in enumerate(insert):
        where = f'model.backbone.insert[{index}]'
        if not isinstance(place, dict):
            raise ValueError(
                f"{where} must be dict(module=<path>, position='before' | 'after'), "
                f'got {place!r}'
            )
        path, position = place.get('module'), place.get('position')
        if path not in modules:
            children = ', '.join(name for name, _ in net.named_children())
            raise ValueError(
                f'{where}: {type(net).__name__} has no submodule {path!r}; at its '
                f'top are {children}'
            )
        if position not in ('before', 'after'):
            raise ValueError(
                f"{where}: position must be 'before' or 'after', got {position!r}"
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
        order, found = _dry_run(net, places, num_instances, input_size)
    except ValueError:
        if channels is None:
            raise
        found = channels
    else:
        places = [places[index] for index in order]
        if channels is not None and [list(channels[i]) for i in order] != found:
            raise ValueError(
                f'model.backbone.channels is {list(channels)}, but a dry run finds '
                f'{[found[order.index(i)] for i in range(len(order))]}'
            )
    net.mimbs = ModuleList(
        MIMBInsertion(c, index == 0, num_instances, reduction, init)
        for index, c in enumerate(found)
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
    places: Sequence[Tuple[nn.Module, str]],
    num_instances: int,
    input_size: Tuple[int, int],
) -> Tuple[List[int], List[List[int]]]:
    """Find the order in which the places run, and their channels."""
    order: List[int] = []
    channels: List[List[int]] = []

    def record(index: int, feats: Any) -> Any:
        if index in order:
            raise ValueError(
                f'model.backbone.insert[{index}]: the module runs more than once '
                'in a forward pass'
            )
        order.append(index)
        channels.append([])

        def visit(x: Tensor) -> Tensor:
            channels[-1].append(x.size(1))
            return fold(x, num_instances) if len(order) == 1 else x

        return _map_feature_maps(visit, feats)

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
    width, height = input_size
    try:
        net.eval()
        with torch.no_grad():
            net(torch.zeros(2, 3, height, width))
    except RuntimeError as error:
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
            raise ValueError(
                f'model.backbone.insert[{index}]: the module does not run in a '
                'forward pass of the backbone'
            )
        if not channels[order.index(index)]:
            raise ValueError(
                f'model.backbone.insert[{index}]: there is no (B, C, H, W) feature '
                'map at this place'
            )
    return order, channels


def _map_feature_maps(function, feats: Any) -> Any:
    """Apply a function to each (M, C, H, W) tensor of a list, tuple or alone."""
    if isinstance(feats, (list, tuple)):
        return type(feats)(_map_feature_maps(function, x) for x in feats)
    if isinstance(feats, Tensor) and feats.dim() == 4:
        return function(feats)
    return feats
