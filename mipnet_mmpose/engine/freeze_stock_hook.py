from typing import Optional

from mmengine.hooks import Hook
from mmengine.model import is_model_wrapper
from mmengine.runner import Runner
from mmpose.registry import HOOKS

from ..models.mimb import MIMB
from ..models.stock_checkpoint import is_ours, load_weights
from .mipnet_check_hook import RESUMED_NOTHING


@HOOKS.register_module()
class FreezeStockHook(Hook):
    """Train the MIMBs alone; the stock layers stay as they are.

    Their parameters get no gradients, their norm layers use the statistics of the
    checkpoint, their dropout is off, and a moving average (``EMAHook``) keeps them.
    With ``bypass_primary=True`` the pose of λ = 0 stays exactly the stock model's.

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
        if not any(isinstance(module, MIMB) for module in model.modules()):
            raise ValueError('FreezeStockHook: the model has no MIMB to train')
        model.requires_grad_(False)
        for module in model.modules():
            if isinstance(module, MIMB):
                module.requires_grad_(True)
        if wrapped:  # it looks once at what has gradients
            runner.model = runner.wrap_model(runner.cfg.get('model_wrapper_cfg'), model)
        self.model = model

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        """Check that all stock layers are trained ones."""
        if not runner._resume:
            load_weights(self.model, checkpoint, runner._load_from, stock_alone=True)

    def before_train(self, runner: Runner) -> None:
        """Find the stock layers of the model as it is now wrapped and loaded."""
        if not runner._has_loaded:
            if runner._resume:
                raise ValueError(RESUMED_NOTHING.format(runner.work_dir))
            raise ValueError(
                'load_from is not set: FreezeStockHook keeps the stock layers as they '
                'are, so they must come from a checkpoint of the stock model'
            )
        learning = set()
        for module in self.model.modules():
            if isinstance(module, MIMB):
                learning.update(module.modules())
            elif hasattr(module, 'set_lambdas'):
                learning.add(module)  # answers all N while it trains
        self.stock = [m for m in self.model.modules() if m not in learning]
        state = self.model.state_dict()
        for hook in runner.hooks:
            average = getattr(hook, 'ema_model', None)
            averages = {} if average is None else average.module.state_dict()
            # equal values have their mean rounded: take no mean of them
            for key, value in averages.items():
                if not is_ours(key):
                    value.copy_(state[key])
                    average.avg_parameters.pop(key, None)

    def before_train_iter(
        self, runner: Runner, batch_idx: int, data_batch: Optional[dict] = None
    ) -> None:
        """Put the stock layers into inference mode; each epoch takes them out of it."""
        for module in self.stock:
            module.training = False
