"""Which λ a model answers, and whether its parts agree about N."""

from contextlib import contextmanager
from typing import Iterator, List, Optional, Sequence

import torch
from mmpose.models.pose_estimators.base import BasePoseEstimator
from torch import Tensor, nn

from .mimb import encode_lambdas


class LambdaModule(nn.Module):
    """Base of the modules that fold, modulate or regroup N instances.

    In training the instances are λ = 0 … N−1. At inference they may be any L
    real values, see :func:`use_lambdas`.
    """

    def _init_lambdas(self, num_instances: int) -> None:
        if type(num_instances) is not int or num_instances < 1:
            raise ValueError(
                f'{type(self).__name__}: num_instances must be an integer of '
                f'at least 1, got {num_instances!r}'
            )
        self.num_instances = num_instances
        self.register_buffer('_train_codes', torch.eye(num_instances), False)
        self.register_buffer('_test_codes', torch.eye(num_instances), False)
        self._test_lambdas = self._train_lambdas

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


def check_estimator(estimator: BasePoseEstimator, head: nn.Module) -> None:
    """Check that backbone, neck and head agree, and hand ``test_cfg.lambdas`` on.

    Raises:
        ValueError: naming the config key to change.
    """
    parts = {
        name: [m for m in part.modules() if isinstance(m, LambdaModule)]
        for name, part in estimator.named_children()
        if name in ('backbone', 'neck')
    }
    folding = [name for name, modules in parts.items() if modules]
    if not isinstance(head, LambdaModule):
        if folding and parts[folding[0]][0].num_instances > 1:
            raise ValueError(
                f'model.{folding[0]} folds several instances per box, which '
                f"model.head (type='{type(head).__name__}') cannot regroup: use "
                "model.head=dict(type='MIPNetHead', head=<the present head>)"
            )
        return
    if not folding and head.num_instances > 1:
        raise ValueError(
            'model.head is a MIPNetHead, but nothing in the model folds the '
            "instances: add model.neck=dict(type='MIMBNeck', ...), or wrap "
            "model.backbone in dict(type='MIMBBackbone', ...)"
        )
    if len(folding) > 1:
        raise ValueError(
            'model.backbone (MIMBBackbone) and model.neck (MIMBNeck) would both '
            'fold the instances: keep one of them'
        )
    for name, modules in parts.items():
        for module in modules:
            if module.num_instances != head.num_instances:
                raise ValueError(
                    f'model.{name}.num_instances={module.num_instances} differs '
                    f'from model.head.num_instances={head.num_instances}'
                )
    lambdas = estimator.test_cfg.get('lambdas')
    head.configured_lambdas = lambdas
    if lambdas is not None:
        for module in [head, *sum(parts.values(), [])]:
            module.set_lambdas(lambdas)


def _on_registration(module: nn.Module, name: str, submodule: nn.Module) -> None:
    if name == 'head' and isinstance(module, BasePoseEstimator):
        check_estimator(module, submodule)


try:  # torch >= 2.0; the estimator itself stays as MMPose ships it
    from torch.nn.modules.module import register_module_module_registration_hook
except ImportError:
    pass
else:
    register_module_module_registration_hook(_on_registration)
