"""Which λ a model answers."""

import threading
from contextlib import contextmanager
from typing import Iterator, List, Optional, Sequence

import torch
from torch import Tensor, nn

from .mimb import encode_lambdas

# A head does not see what folds before it. An estimator builds backbone, neck and head
# in this order, so the λ in the config of the first two are still here for the third.
_built_last = threading.local()


class LambdaModule(nn.Module):
    """Base of the modules that fold, modulate or regroup N instances.

    In training the instances are λ = 0 … N−1. At inference they may be any L
    real values, see :func:`use_lambdas`.
    """

    def _init_lambdas(
        self, num_instances: int, lambdas: Optional[Sequence[float]] = None
    ) -> None:
        if type(num_instances) is not int or num_instances < 1:
            raise ValueError(
                f'{type(self).__name__}: num_instances must be an integer of '
                f'at least 1, got {num_instances!r}'
            )
        self.num_instances = num_instances
        self.register_buffer('_train_codes', torch.eye(num_instances), False)
        self.register_buffer('_test_codes', torch.eye(num_instances), False)
        try:
            self.set_lambdas(lambdas)
        except (TypeError, ValueError) as error:
            raise ValueError(f'{type(self).__name__}.lambdas: {error}') from error

    @property
    def _train_lambdas(self) -> List[float]:
        return [float(i) for i in range(self.num_instances)]

    @property
    def lambdas(self) -> List[float]:
        """list[float]: the λ in force, L values; N in training."""
        return self._train_lambdas if self.training else self._test_lambdas

    @property
    def codes(self) -> Tensor:
        """Tensor: the encoded λ in force, shape (L, N)."""
        return self._train_codes if self.training else self._test_codes

    def set_lambdas(self, lambdas: Optional[Sequence[float]] = None) -> None:
        """Set the λ of inference; ``None`` for 0 … N−1."""
        lambdas = self._train_lambdas if lambdas is None else lambdas
        codes = encode_lambdas(lambdas, self.num_instances)
        self._test_codes = codes.to(self._train_codes)
        self._test_lambdas = [float(value) for value in lambdas]


@contextmanager
def use_lambdas(model: nn.Module, lambdas: Sequence[float]) -> Iterator[None]:
    """Let a model in eval mode answer these λ instead of 0 … N−1.

    Args:
        model (nn.Module): a pose estimator, or any part of it.
        lambdas (Sequence[float]): L real values in [0, N - 1]; the model then
            gives L poses per box.

    Raises:
        ValueError: if a λ is out of range or the model has no MIMB.

    Example::

        with use_lambdas(model, [0, 0.25, 0.5, 0.75, 1]):
            results = inference_topdown(model, image, bboxes)
    """
    modules = [m for m in model.modules() if isinstance(m, LambdaModule)]
    if not modules:
        raise ValueError('the model has no MIMB, there is no lambda to choose')
    before = [m._test_lambdas for m in modules]
    try:
        for module in modules:
            module.set_lambdas(lambdas)
        yield
    finally:
        for module, value in zip(modules, before):
            module.set_lambdas(value)


class FoldingModule(LambdaModule):
    """Base of the modules that fold; the λ of inference are in their config."""

    def _init_lambdas(
        self, num_instances: int, lambdas: Optional[Sequence[float]] = None
    ) -> None:
        super()._init_lambdas(num_instances, lambdas)
        _built_last.value = (num_instances, lambdas)


def configured_lambdas(num_instances: int) -> Optional[Sequence[float]]:
    """The λ in the config of the folding module that was built last.

    Args:
        num_instances (int): Of the head that asks. ``None`` is for one of another N.
    """
    folding = getattr(_built_last, 'value', (num_instances, None))
    return folding[1] if folding[0] == num_instances else None
