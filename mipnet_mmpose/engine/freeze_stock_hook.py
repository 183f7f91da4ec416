from typing import Optional

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmpose.registry import HOOKS

from ..models.heads.presence import Presence
from ..models.lambdas import LambdaModule
from ..models.mimb import MIMB
from ..models.stock_checkpoint import load_stock_weights


@HOOKS.register_module()
class FreezeStockHook(Hook):
    """Train the MIMBs and presence alone; the stock layers stay as they are.

    Their parameters get no gradients. Their norm layers use the statistics of the
    checkpoint, and their dropout is off. With ``bypass_primary=True`` of the MIMBs,
    the pose of λ = 0 is then exactly that of the stock model, before and after the
    training.

    Example::

        load_from = '<checkpoint of the stock model>'
        custom_hooks = [dict(type='FreezeStockHook')]

    Raises:
        ValueError: where the training neither starts from a checkpoint nor resumes,
            the checkpoint lacks weights of the stock model, or the model has no MIMB.
    """

    def before_run(self, runner: Runner) -> None:
        """Freeze the parameters."""
        wrapped = is_model_wrapper(runner.model)
        model = runner.model.module if wrapped else runner.model
        ours = [m for m in model.modules() if isinstance(m, (MIMB, Presence))]
        if not any(isinstance(module, MIMB) for module in ours):
            raise ValueError('FreezeStockHook: the model has no MIMB to train')
        self.model = model.requires_grad_(False)
        for module in ours:
            module.requires_grad_(True)
        inside = {part for module in ours for part in module.modules()}
        self.stock = [
            module
            for module in model.modules()
            if module not in inside and not isinstance(module, LambdaModule)
        ]
        if wrapped:  # it looks once at what has gradients
            runner.model = runner.wrap_model(runner.cfg.get('model_wrapper_cfg'), model)

    def before_train(self, runner: Runner) -> None:
        """Check that all stock layers are trained ones."""
        if not runner._has_loaded:
            raise ValueError(
                'load_from is not set: FreezeStockHook keeps the stock layers as they '
                'are, so they must come from a checkpoint of the stock model'
            )
        if not runner._resume:
            load_stock_weights(self.model, runner._load_from)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Optional[dict] = None
    ) -> None:
        """Put the stock layers into inference mode; each epoch takes them out of it."""
        for module in self.stock:
            module.training = False
