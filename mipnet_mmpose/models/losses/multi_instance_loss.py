from typing import Any, Optional, Sequence, Union

from mmpose.registry import MODELS
from torch import Tensor, nn

from ..stock_checkpoint import move_stock_keys


@MODELS.register_module()
class MultiInstanceLoss(nn.Module):
    r"""A stock keypoint loss on the B·N rows of a multi-instance model.

    The paper's rule (MIPNet, ICCV 2021, Sec. 3.3): row i of a crop counts
    against person i where there is one, else against person 0; the loss is
    the mean over the rows,
    :math:`\frac{1}{N} \sum_i w_i\, \mathrm{loss}(\mathrm{rows}_i)`.
    Which target a row gets is settled by :class:`GenerateMultiInstanceTarget`.

    Args:
        loss (dict | nn.Module): The stock loss or its config. What it has, such
            as ``use_target_weight``, the wrapper has too.
        num_instances (int, optional): Instances N per box. Defaults to those of
            the :class:`MIPNetHead` around it; without one to the number of
            ``instance_weights``, or 2.
        instance_weights (Sequence[float], optional): Weight :math:`w_i` of
            each instance index. Defaults to 1 for all.

    Shape:
        takes what the stock loss takes, with B·N sample-major rows, and
        returns what it returns for B rows.
    """

    def __init__(
        self,
        loss: Union[dict, nn.Module],
        num_instances: Optional[int] = None,
        instance_weights: Optional[Sequence[float]] = None,
    ):
        super().__init__()
        self.loss = loss if isinstance(loss, nn.Module) else MODELS.build(loss)
        self._from_head = num_instances is None and instance_weights is None
        if num_instances is None:
            num_instances = len(instance_weights or (1, 1))
        self._set(num_instances, instance_weights)

    def set_num_instances(self, num_instances: int, key: str) -> None:
        """Take over N of the head, where the config gives none.

        Args:
            num_instances (int): N of the head.
            key (str): Config key of this loss, for the error.

        Raises:
            ValueError: where the config gives another N.
        """
        if self._from_head:
            self._set(num_instances, None)
        if self.num_instances != num_instances:
            raise ValueError(
                f'{key}.num_instances={self.num_instances} differs from '
                f'model.head.num_instances={num_instances}'
            )

    def _set(self, num_instances: int, weights: Optional[Sequence[float]]) -> None:
        if num_instances < 1:
            raise ValueError(
                f'model.head.head.loss.num_instances must be at least 1, got '
                f'{num_instances}'
            )
        weights = [1.0] * num_instances if weights is None else weights
        if len(weights) != num_instances or min(weights) < 0:
            raise ValueError(
                f'model.head.head.loss.instance_weights must be {num_instances} '
                f'values of at least 0 (num_instances={num_instances}), got '
                f'{list(weights)}'
            )
        self.num_instances = num_instances
        self.instance_weights = [float(weight) for weight in weights]

    def forward(self, *args, **kwargs) -> Any:
        """Weighted mean of the stock loss over the instance indices."""
        rows = len(_first_tensor((args, kwargs)))
        if rows % self.num_instances:
            raise ValueError(
                f'MultiInstanceLoss got {rows} rows, which num_instances='
                f'{self.num_instances} does not divide'
            )
        total = None
        for index, weight in enumerate(self.instance_weights):
            part = _every_nth_row((args, kwargs), index, self.num_instances, rows)
            loss = _scale(self.loss(*part[0], **part[1]), weight / self.num_instances)
            total = loss if total is None else _add(total, loss)
        return total

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


def _first_tensor(tree: Any) -> Tensor:
    if isinstance(tree, Tensor):
        return tree
    for item in tree.values() if isinstance(tree, dict) else tree:
        if isinstance(item, (Tensor, dict, list, tuple)):
            tensor = _first_tensor(item)
            if tensor is not None:
                return tensor


def _every_nth_row(tree: Any, start: int, step: int, rows: int) -> Any:
    if isinstance(tree, Tensor):
        return tree[start::step] if tree.dim() and len(tree) == rows else tree
    if isinstance(tree, dict):
        return {k: _every_nth_row(v, start, step, rows) for k, v in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(_every_nth_row(v, start, step, rows) for v in tree)
    return tree


def _scale(loss: Any, factor: float) -> Any:
    return [x * factor for x in loss] if isinstance(loss, list) else loss * factor


def _add(a: Any, b: Any) -> Any:
    return [x + y for x, y in zip(a, b)] if isinstance(a, list) else a + b
