from typing import Dict, Iterator

from mmengine.hooks import Hook
from mmengine.optim import OptimWrapperDict
from mmengine.runner import Runner
from mmpose.registry import HOOKS
from torch import nn

from ..models.heads.mipnet_head import MIPNetHead
from ..models.lambdas import LambdaModule
from ..models.mimb import MIMB
from ..models.stock_checkpoint import check_mimbs_loaded

# of the largest learning rate; at or below it MIMBs learn far slower than the rest
SLOW = 0.1


@HOOKS.register_module()
class MIPNetCheckHook(Hook):
    """Look at what a MIPNet needs of the rest of the config, before it runs.

    - Something must regroup what is folded: a stock head behind MIMBs is an error.
    - The MIMBs must learn, or λ ≥ 1 never finds its person: a warning where they are
      frozen, left out of the optimizer, or have a tenth of the largest learning rate
      or less, such as by ``paramwise_cfg=dict(custom_keys={'backbone':
      dict(lr_mult=0)})`` with the MIMBs inside the backbone.
    - A test needs trained MIMBs: a checkpoint without them is an error.

    Example::

        custom_hooks = [dict(type='MIPNetCheckHook')]

    Raises:
        ValueError: where a stock head follows MIMBs, or the checkpoint of a test has
            no MIMBs.
    """

    def before_run(self, runner: Runner) -> None:
        """Check the head."""
        for name, module in runner.model.named_modules():
            if not isinstance(module, LambdaModule) or module.num_instances == 1:
                continue
            if not any(isinstance(m, MIPNetHead) for m in runner.model.modules()):
                head = getattr(getattr(runner.model, 'module', runner.model), 'head', 0)
                raise ValueError(
                    f'model.{name.split(".mimbs")[0]} folds several instances per box, '
                    f"which model.head (type='{type(head).__name__}') cannot regroup: "
                    "use model.head=dict(type='MIPNetHead', head=<the present head>)"
                )

    def before_train(self, runner: Runner) -> None:
        """Check the learning rate of the MIMBs."""
        mimbs = {
            f'{name}.{inner}': parameter
            for name, module in runner.model.named_modules()
            if isinstance(module, MIMB)
            for inner, parameter in module.named_parameters()
        }
        rates = _learning_rates(runner.optim_wrapper)
        largest = max(rates.values(), default=0)
        found = []
        for name, parameter in mimbs.items():
            rate = rates.get(id(parameter))
            if not parameter.requires_grad:
                found.append((name, 'have requires_grad=False'))
            elif rate is None:
                found.append((name, 'are not in the optimizer'))
            elif rate <= SLOW * largest * 1.001:
                found.append((name, f'have a learning rate of {rate:g}'))
        if found:
            runner.logger.warning(
                f'{len(found)} of {len(mimbs)} weights of the MIMBs, such as '
                f'{found[0][0]}, {found[0][1]} (the largest is {largest:g}): lambda >= '
                '1 hardly learns, or not at all. In optim_wrapper.paramwise_cfg give '
                "them their own, custom_keys={'backbone.mimbs': dict(lr_mult=1)} or "
                "'neck.mimbs'"
            )

    def after_train(self, runner: Runner) -> None:
        """Forget what the training started from."""
        for module in runner.model.modules():
            if isinstance(module, MIMB):
                module.was_loaded = None

    def before_test(self, runner: Runner) -> None:
        """Check the checkpoint."""
        check_mimbs_loaded(runner.model, runner._load_from)


def _learning_rates(optim_wrapper) -> Dict[int, float]:
    """That of each parameter before any schedule, by the parameter's id."""

    def groups() -> Iterator[dict]:
        if isinstance(optim_wrapper, OptimWrapperDict):
            for wrapper in optim_wrapper.values():
                yield from wrapper.param_groups
        else:
            yield from optim_wrapper.param_groups

    return {
        id(parameter): group.get('initial_lr', group['lr'])
        for group in groups()
        for parameter in group['params']
        if isinstance(parameter, nn.Parameter)
    }
