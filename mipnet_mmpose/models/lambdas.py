"""Which λ a model answers."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Optional

import torch
from mmengine.model import BaseModule, ModuleList
from torch import Tensor, nn

from .mimb import MIMB, encode_lambdas, fold, map_features


class LambdaModule(BaseModule):
    """Base of the modules that fold N instances and modulate them.

    In training the instances are λ = 0 … N−1. At inference they may be any L
    real values, see :func:`use_lambdas`.
    """

    mimbs: ModuleList  # one for each tensor of features, Identity where there is none

    def __init__(self, num_instances: int, init_cfg: Optional[dict] = None):
        super().__init__(init_cfg)
        self.num_instances = num_instances
        self.register_buffer('_train_codes', torch.eye(num_instances), False)
        self.register_buffer('_test_codes', torch.eye(num_instances), False)
        self.lambdas: Optional[Sequence[float]] = None

    @property
    def codes(self) -> Tensor:
        """Tensor: the encoded λ in force, shape (L, N); in training N of them."""
        return self._train_codes if self.training else self._test_codes

    def set_lambdas(self, lambdas: Optional[Sequence[float]] = None) -> None:
        """Set the λ of inference; ``None`` for 0 … N−1."""
        chosen = range(self.num_instances) if lambdas is None else lambdas
        codes = encode_lambdas(chosen, self.num_instances)
        self._test_codes = codes.to(self._train_codes)
        self.lambdas = lambdas

    def modulate(self, feats: Any, folds: Sequence[bool]) -> Any:
        """Modulate each tensor of features; fold it first where ``folds`` says so."""
        codes = self.codes
        if self.training:
            # a zero gradient for the MIMB of a level that nobody reads: without
            # one, training in several processes stops at unused parameters
            codes = codes + 0 * sum(p.flatten()[0] for p in self.mimbs.parameters())
        blocks = zip(self.mimbs, folds)

        def modulate(x: Tensor) -> Tensor:
            mimb, folds = next(blocks)
            x = fold(x, codes.shape[0]) if folds else x
            rows = codes.repeat(x.shape[0] // codes.shape[0], 1)
            return mimb(x, rows) if isinstance(mimb, MIMB) else x

        return map_features(modulate, feats)


@contextmanager
def use_lambdas(model: nn.Module, lambdas: Sequence[float]) -> Iterator[None]:
    """Let a model in eval mode answer these λ instead of 0 … N−1.

    Args:
        model (nn.Module): a pose estimator.
        lambdas (Sequence[float]): L real values in [0, N - 1]; the model then
            gives L poses per box.

    Raises:
        ValueError: if a λ is out of range or the model has no MIMB.

    Example::

        with use_lambdas(model, [0, 0.25, 0.5, 0.75, 1]):
            results = inference_topdown(model, image, bboxes)
    """
    # what folds, and the head, which says the λ of each pose
    modules = [m for m in model.modules() if hasattr(m, 'set_lambdas')]
    if not any(isinstance(module, LambdaModule) for module in modules):
        raise ValueError('the model has no MIMB, there is no lambda to choose')
    before = [module.lambdas for module in modules]
    try:
        for module in modules:
            module.set_lambdas(list(lambdas))
        yield
    finally:
        for module, value in zip(modules, before):
            module.set_lambdas(value)
