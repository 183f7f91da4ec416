from collections.abc import Sequence
from typing import Any, Optional, Union

from mmpose.registry import MODELS
from torch import Tensor, nn

from ..mimb import first_tensor
from ..stock_checkpoint import move_stock_keys


@MODELS.register_module()
class MultiInstanceLoss(nn.Module):
    r"""A stock keypoint loss on the B·N rows of a multi-instance model.

    The mean over the instance indices (MIPNet, ICCV 2021, Sec. 3.3),
    :math:`\frac{1}{N} \sum_i w_i\, \mathrm{loss}(\mathrm{rows}_i)`, so that a loss
    which sums over the batch keeps its scale. Which person a row counts against is
    settled by :class:`MIPNetHead`, which also says what N is.

    Args:
        loss (dict | nn.Module): The stock loss or its config. What it has, such
            as ``use_target_weight``, the wrapper has too.
        instance_weights (Sequence[float], optional): Weight :math:`w_i` of
            each instance index. Defaults to 1 for all.

    Shape:
        takes what the stock loss takes, of B·N rows, and returns what it returns.

    Raises:
        ValueError: where there are not N weights of at least 0.
    """

    def __init__(
        self,
        loss: Union[dict, nn.Module],
        instance_weights: Optional[Sequence[float]] = None,
    ):
        super().__init__()
        self.loss = loss if isinstance(loss, nn.Module) else MODELS.build(loss)
        self.instance_weights = instance_weights
        self.num_instances = len(instance_weights or [1])

    def forward(self, *args, **kwargs) -> Any:
        """Weighted mean of the stock loss over the instance indices."""
        num = self.num_instances
        weights = [1] * num if self.instance_weights is None else self.instance_weights
        if len(weights) != num or min(weights) < 0:
            raise ValueError(
                f'model.head.head.loss.instance_weights must be {num} values of at '
                f'least 0 (num_instances={num}), got {list(weights)}'
            )
        rows = len(first_tensor(args))
        losses = []
        for index, weight in enumerate(weights):
            positional, named = _every_nth_row((args, kwargs), index, num, rows)
            loss = self.loss(*positional, **named)
            terms = loss if isinstance(loss, list) else [loss]
            losses.append([term * (weight / num) for term in terms])
        means = [sum(terms) for terms in zip(*losses)]
        return means if isinstance(loss, list) else means[0]

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            if name == 'loss':
                raise
            return getattr(self.loss, name)

    def _load_from_state_dict(self, state_dict, prefix, *args, **kwargs):
        move_stock_keys(self, state_dict, prefix, 'loss')
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def _every_nth_row(tree: Any, start: int, step: int, rows: int) -> Any:
    if isinstance(tree, Tensor):
        return tree[start::step] if tree.dim() and len(tree) == rows else tree
    if isinstance(tree, dict):
        return {k: _every_nth_row(v, start, step, rows) for k, v in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(_every_nth_row(v, start, step, rows) for v in tree)
    return tree
