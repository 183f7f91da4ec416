"""The schedule of a training that starts from a trained stock model."""

from typing import Any, Optional

from mmengine.config import Config

from .config_text import base

EPOCHS = 20
SLOWER = 10  # the learning rate of the new layers over that of the stock layers
# counted in epochs: of a scheduler, of a hook
NUMBERS = ('begin', 'end', 'T_max', 'milestones', 'switch_epoch', 'begin_epoch')


def fine_tuning(cfg: Config, freeze: bool) -> dict[str, Any]:
    """Changes of a stock config to 20 epochs, its schedulers and hooks in proportion.

    The stock layers learn at a tenth of the stock rate, the new ones at all of it. A
    config that counts iterations keeps its schedule.
    """
    total = (cfg.get('train_cfg') or {}).get('max_epochs')
    if total is None:
        return {}
    changes: dict[str, Any] = dict(train_cfg=dict(max_epochs=EPOCHS, val_interval=5))
    wrapper = cfg.get('optim_wrapper') or {}
    rate = (wrapper.get('optimizer') or {}).get('lr')
    rate = None if freeze else rate  # no stock layer learns then
    if rate:
        # long names: mmengine takes the longest, 'backbone' would come before 'mimbs'
        new = ('backbone.mimbs', 'neck.mimbs', 'head.presence')
        keys = {name: dict(lr_mult=SLOWER) for name in new}
        changes['optim_wrapper'] = dict(
            optimizer=dict(lr=float(f'{rate / SLOWER:g}')),
            paramwise_cfg=dict(custom_keys=keys),
        )
        if 'constructor' in wrapper:  # that of a layer-wise decay reads no lr_mult
            usual = 'DefaultOptimWrapperConstructor'
            changes['optim_wrapper']['constructor'] = usual
    for name in ('param_scheduler', 'custom_hooks'):
        if isinstance(cfg.get(name), list):
            changes[name] = [
                base(f'{name}[{i}]', **_in_proportion(part, total, rate))
                for i, part in enumerate(cfg[name])
            ]
    return changes


def _in_proportion(part: dict, total: int, rate: Optional[float]) -> dict[str, Any]:
    def share(epochs: Any) -> Any:
        if isinstance(epochs, list):
            return [share(epoch) for epoch in epochs]
        return max(epochs * EPOCHS // total, 1)

    keys = [key for key in NUMBERS if part.get(key) and part.get('by_epoch', True)]
    updates = {key: share(part[key]) for key in keys}
    if rate and part.get('eta_min'):  # a share of each layer's own rate
        ratio = float(f'{part["eta_min"] / rate:g}')
        updates.update(eta_min=None, eta_min_ratio=ratio)
    return updates
