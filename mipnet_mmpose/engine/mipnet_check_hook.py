from mmengine.config import Config
from mmengine.hooks import Hook
from mmengine.runner import Runner
from mmpose.registry import HOOKS, METRICS

from ..models.heads.mipnet_head import MIPNetHead
from ..models.lambdas import LambdaModule
from ..models.stock_checkpoint import check_mimbs_loaded

# of the largest learning rate; at or below it MIMBs learn far slower than the rest
SLOW = 0.1
RESUMED_NOTHING = (
    '--resume found no checkpoint in {}, and MMPose clears load_from with it: the '
    'training would start from untrained weights. Leave --resume out of the first start'
)


@HOOKS.register_module()
class MIPNetCheckHook(Hook):
    """Look at what a MIPNet needs of the rest of the config, before it runs.

    - ``--cfg-options num_instances=3`` changes a name that nothing reads any more: an
      error.
    - A stock head behind MIMBs, which does not regroup what is folded, is an error, and
      so are a backbone and a neck that both fold.
    - A stock metric takes one pose per box: it is an error that says what to use.
    - With ``--resume``, MMPose clears ``load_from``: where there is nothing to resume
      yet, an error if the config file has a ``load_from``, else a warning.
    - The MIMBs must learn, or λ ≥ 1 never finds its person: a warning where they are
      frozen, left out of the optimizer, or have a tenth of the largest learning rate
      or less, such as by ``lr_mult=0`` of the backbone that they are inside of.
    - A test needs trained MIMBs: a checkpoint without them is an error.

    Each error is a ValueError that names the config key.
    """

    def before_run(self, runner: Runner) -> None:
        """Check the head and the metrics."""
        model = getattr(runner.model, 'module', runner.model)
        folding = {
            name.split('.')[0]: module.num_instances
            for name, module in model.named_modules()
            if isinstance(module, LambdaModule) and module.num_instances > 1
        }
        if not folding:
            return
        if len(folding) > 1:
            raise ValueError(
                'model.backbone and model.neck both fold: keep one of them'
            )
        ((part, num),) = folding.items()
        if runner.cfg.get('num_instances', num) != num:
            raise ValueError(
                f'num_instances={runner.cfg.num_instances}, model.{part} has {num}: '
                'change that name inside the config file'
            )
        if not any(isinstance(module, MIPNetHead) for module in model.modules()):
            head = type(getattr(model, 'head', None)).__name__
            raise ValueError(
                f'model.{part} folds several instances per box, which model.head '
                f"(type='{head}') cannot regroup: "
                "use model.head=dict(type='MIPNetHead', head=<the present head>)"
            )
        for name in ('val', 'test'):
            # built where the run needs it
            evaluator = getattr(getattr(runner, f'_{name}_loop'), 'evaluator', None)
            for metric in getattr(evaluator, 'metrics', ()):
                # one that does neither itself knows of one pose per box
                methods = (metric.process, metric.compute_metrics)
                if all(m.__module__.startswith('mmpose.') for m in methods):
                    stock = type(metric).__name__
                    use = f"type='PrimaryInstanceMetric', metric=dict(type='{stock}')"
                    if METRICS.get(f'MultiInstance{stock}') is not None:
                        use = f"type='MultiInstance{stock}', ..."
                    raise ValueError(
                        f"{name}_evaluator: type='{stock}' takes one pose per box, the "
                        f'model gives {num}: use dict({use}), the arguments as they are'
                    )

    def before_train(self, runner: Runner) -> None:
        """Check what the training starts from, and whether the MIMBs learn."""
        if runner._resume and not runner._has_loaded:
            text = RESUMED_NOTHING.format(runner.work_dir)
            file = runner.cfg.filename
            if file and Config.fromfile(file).get('load_from'):
                raise ValueError(text)
            runner.logger.warning(text)
        rates = {  # before any schedule
            id(parameter): group.get('initial_lr', group['lr'])
            for group in runner.optim_wrapper.param_groups
            for parameter in group['params']
        }
        largest = max(rates.values(), default=0)
        found = []
        mimbs = [p for p in runner.model.named_parameters() if '.mimbs.' in p[0]]
        for name, parameter in mimbs:
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
                '1 hardly learns. Give them their own in optim_wrapper.paramwise_cfg, '
                "custom_keys={'backbone.mimbs': dict(lr_mult=1)} or 'neck.mimbs'"
            )

    def before_test(self, runner: Runner) -> None:
        """Check the checkpoint; after a training there is none to check."""
        check_mimbs_loaded(runner.model, runner._load_from)

    before_val = before_test
