import copy
from typing import Optional

import torch
from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmpose.registry import HOOKS
from torch import Tensor

from ..models.lambdas import LambdaModule
from ..models.mimb import MIMB
from ..models.stock_checkpoint import load_stock_weights


@HOOKS.register_module()
class HoldPrimaryHook(Hook):
    """Hold λ = 0 to what a trained network answers, while λ ≥ 1 learns.

    A second network, with the weights of a checkpoint and never trained, sees each
    batch. The heatmaps that λ = 0 learns become ``(1 - weight) * target + weight *
    answer``. It is meant for a fine-tuning on few images. It costs one forward pass of
    the stock model per batch. ``docs/results.md`` has a study of it, without a gain.

    Args:
        checkpoint (str): Of the stock model, or of a MIPNet.
        weight (float): Share of the answer, in 0 ... 1. Defaults to 0.5.

    Example::

        custom_hooks = [dict(type='HoldPrimaryHook', checkpoint=load_from)]

    Raises:
        ValueError: where the checkpoint lacks weights of the stock model, or the
            model learns no heatmaps.
    """

    def __init__(self, checkpoint: str, weight: float = 0.5):
        if not 0 <= weight <= 1:
            raise ValueError(f'HoldPrimaryHook.weight must be in 0 ... 1, got {weight}')
        self.checkpoint = checkpoint
        self.weight = weight

    def before_train(self, runner: Runner) -> None:
        """Make the second network."""
        model = runner.model.module if is_model_wrapper(runner.model) else runner.model
        self.teacher = copy.deepcopy(model).requires_grad_(False).eval()
        load_stock_weights(self.teacher, self.checkpoint)
        for module in self.teacher.modules():
            if isinstance(module, LambdaModule):
                module.set_lambdas([0])
            if isinstance(module, MIMB) and not module.was_loaded:
                module.bypass_primary.fill_(1)  # the stock model is without them

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Optional[dict] = None
    ) -> None:
        """Mix the answers into the targets of λ = 0."""
        with torch.no_grad(), runner.optim_wrapper.optim_context(self.teacher):
            data = self.teacher.data_preprocessor(dict(data_batch))
            answers = self.teacher(data['inputs'], None, mode='tensor')
        samples = data_batch['data_samples']
        fields = samples[0].get('gt_fields', {})
        if not isinstance(answers, Tensor) or 'heatmaps' not in fields:
            head = getattr(self.teacher.head, 'head', self.teacher.head)
            raise ValueError(
                'HoldPrimaryHook is for heads that learn one heatmap a keypoint, not '
                f'for {type(head).__name__}'
            )
        for sample, answer in zip(samples, answers):
            target = sample.gt_fields.heatmaps[: len(answer)]
            target.lerp_(answer.to(target), self.weight)
