"""A stock top-down config becomes a MIPNet: the few lines that it takes."""

import copy
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional, Union

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpose.registry import METRICS, MODELS
from torch import Tensor, nn

from ..models.mimb import channel_axis, map_features
from .config_text import Code, apply_changes, base
from .places import default_places

DEFAULTS = dict(reduction=4, init='paper', bypass_primary=False)  # of MIMB
N = dict(num_instances=Code('num_instances'))  # a name in the config file
# of a fine-tuning
EPOCHS = 20
SLOWER = 10  # the learning rate of the new layers over that of the stock layers
# counted in epochs: of a scheduler, of a hook
NUMBERS = ('begin', 'end', 'T_max', 'milestones', 'switch_epoch', 'begin_epoch')


def mipnetify(cfg: Config, *args: Any, **options: Any) -> Config:
    """Turn any stock top-down config into a MIPNet; see :func:`mipnet_changes`."""
    return apply_changes(cfg, mipnet_changes(cfg, *args, **options))


def mipnet_changes(
    cfg: Config,
    num_instances: int = 2,
    where: str = 'neck',
    insert: Optional[Sequence[dict]] = None,
    reduction: int = 4,
    init: Optional[str] = None,
    load_from: Optional[str] = None,
    freeze: bool = False,
    presence: bool = False,
    paste_people: bool = False,
) -> dict[str, Any]:
    """What :func:`mipnetify` merges into a config, key by key.

    The stock model is built and run once on an empty crop, to find channels. Its
    weights are neither loaded nor downloaded.

    Args:
        cfg (Config): A stock config of a ``TopdownPoseEstimator``.
        num_instances (int): Poses N per box.
        where (str): MIMBs behind the backbone, ``'neck'``, or inside, ``'backbone'``.
        insert (Sequence[dict], optional): Where, as :func:`MIMBBackbone` takes it.
        reduction (int): As of :class:`MIMB`.
        init (str, optional): As of :class:`MIMB`. Defaults to ``'identity'`` with
            ``load_from``, which leaves a trained model as it was, else ``'paper'``.
        load_from (str, optional): Path or URL of a checkpoint of the stock model; the
            schedule is then that of a :func:`fine_tuning`.
        freeze (bool): Train the new layers alone, see :class:`FreezeStockHook`.
        presence (bool): Say whether there is a person for λ ≥ 1, see :class:`Presence`.
        paste_people (bool): Paste people onto each other, see :class:`PastePeople`.

    Raises:
        ValueError: naming the config key, where no MIPNet can be made of it.
    """
    check_topdown(cfg)
    if where not in ('neck', 'backbone'):
        raise ValueError(f"where must be 'neck' or 'backbone', got {where!r}")
    if freeze and load_from is None:
        raise ValueError('freeze needs load_from, a checkpoint of the stock model')
    if load_from and '://' not in load_from and not Path(load_from).is_file():
        raise ValueError(f'load_from {load_from} does not exist')
    init = init or ('identity' if load_from else 'paper')
    mimbs = dict(reduction=reduction, init=init, bypass_primary=freeze)
    mimbs = {key: value for key, value in mimbs.items() if value != DEFAULTS[key]}
    mimbs = dict(num_instances=num_instances, **mimbs)
    fetched = cfg.model.backbone.get('init_cfg')
    weights = dict(init_cfg=None) if load_from and fetched else {}
    if where == 'backbone' or insert is not None:
        model = dict(backbone=_backbone(cfg, insert, mimbs, weights))
    else:
        model = dict(backbone=weights) if weights else {}
        model['neck'] = _neck(cfg, mimbs)
    model['head'] = dict(_delete_=True, type='MIPNetHead', head=base('model.head'))
    if presence:
        model['head']['presence'] = {}

    # mipnet_mmpose first: on mmcv-lite it is what makes mmpose.models importable
    imports = (cfg.get('custom_imports') or {}).get('imports') or []
    imports = [imports] if isinstance(imports, str) else imports
    changes = dict(custom_imports=dict(imports=['mipnet_mmpose', *imports]))
    changes['num_instances'] = num_instances
    hooks = [Code('*_base_.custom_hooks')] if cfg.get('custom_hooks') else []
    changes['custom_hooks'] = hooks
    if load_from:
        changes.update(load_from=load_from, **fine_tuning(cfg, freeze))
    changes['custom_hooks'] += [dict(type='MIPNetCheckHook')]
    changes['custom_hooks'] += [dict(type='FreezeStockHook')] * freeze
    changes['model'] = model
    if cfg.get('train_dataloader'):
        dataset = _train_dataset(cfg)
        if paste_people:
            dataset['paste_people'] = {}
        changes['train_dataloader'] = dict(dataset=dataset)
    for key in ('val_evaluator', 'test_evaluator'):
        if cfg.get(key):
            changes[key] = _evaluator(cfg[key], key)
    return changes


def check_topdown(cfg: Config) -> None:
    """Raise ValueError where a config cannot become a MIPNet."""
    model = cfg.get('model') or {}
    name, head = _type(model), _type(model.get('head') or {})
    if head == 'MIPNetHead':
        raise ValueError(f'model.head.type is {head!r}: this is a MIPNet already')
    if name != 'TopdownPoseEstimator' or head in ('None', 'InternetHead'):
        raise ValueError(
            f'model.type is {name!r}, model.head.type {head!r}: what becomes a MIPNet '
            "is a 'TopdownPoseEstimator' of MMPose 1.x with a head for 2D poses"
        )


def _build(cfg: dict) -> nn.Module:
    with DefaultScope.overwrite_default_scope('mmpose'):
        return MODELS.build(copy.deepcopy(cfg))  # some parts change their config


def _backbone(
    cfg: Config, insert: Optional[Sequence[dict]], mimbs: dict, weights: dict
) -> dict:
    if insert is None:
        insert = default_places(_build(cfg.model.backbone))
    places = dict(insert=[dict(place) for place in insert], input_size=crop_size(cfg))
    mipnet = dict(type='MIMBBackbone', backbone=cfg.model.backbone, **places, **mimbs)
    _build(mipnet)  # raises where a place or an option is wrong
    stock = base('model.backbone', **weights)
    return dict(_delete_=True, **dict(mipnet, backbone=stock, **N))


def _neck(cfg: Config, mimbs: dict) -> dict:
    neck = dict(type='MIMBNeck', in_channels=_neck_channels(cfg), **mimbs)
    _build(neck)  # raises where an option is wrong
    neck.update(N)
    if 'neck' in cfg.model:
        neck = dict(_delete_=True, **neck)
        if cfg.model.neck is not None:
            neck['neck'] = base('model.neck')
    return neck


def _neck_channels(cfg: Config) -> Union[int, list[Optional[int]]]:
    """Channels of each feature level, ``None`` where the head does not use it."""
    stock = _build(cfg.model).eval()
    levels: list[Tensor] = []
    outputs: list[Tensor] = []

    def visit(x: Tensor) -> Tensor:
        levels.append(x.detach().requires_grad_())
        return levels[-1]

    with torch.no_grad():
        feats = stock.extract_feat(torch.zeros(1, 3, *crop_size(cfg)[::-1]))
    feats = (feats,) if isinstance(feats, Tensor) else feats
    map_features(outputs.append, stock.head(map_features(visit, feats)))
    used = torch.autograd.grad(sum(x.sum() for x in outputs), levels, allow_unused=True)
    channels = [
        None if grad is None else x.size(channel_axis(x))
        for x, grad in zip(levels, used)
    ]
    return channels[0] if len(channels) == 1 else channels


def crop_size(cfg: Config) -> tuple[int, int]:
    """Width and height of the crops, from the codec."""
    head = cfg.model.head
    decoder = head.get('pose_cfg', head).get('decoder') or {}
    if 'input_size' not in decoder:
        raise ValueError('model.head.decoder has no input_size')
    return tuple(decoder['input_size'])


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
        new = ('backbone.mimbs', 'neck.mimbs')
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


def _train_dataset(cfg: Config) -> dict:
    path = 'train_dataloader.dataset'
    changes = dict(_delete_=True, type='MultiInstanceDataset', dataset=base(path))
    if cfg.train_dataloader.dataset.get('pipeline'):
        changes['dataset'] = base(path, pipeline=[])
        changes['pipeline'] = base(f'{path}.pipeline')  # where MMPose's scripts look
    return dict(changes, **N)


def _evaluator(evaluator: Any, path: str) -> Any:
    """An evaluator or a metric, in whichever form it is, for N poses per box."""
    if isinstance(evaluator, (list, tuple)):
        return [_evaluator(item, f'{path}[{i}]') for i, item in enumerate(evaluator)]
    if 'metrics' in evaluator:
        return base(path, metrics=_evaluator(evaluator['metrics'], f'{path}.metrics'))
    name = _type(evaluator)
    if name in ('DumpResults', 'PrimaryInstanceMetric') or 'MultiInstance' in name:
        return base(path)
    if METRICS.get(f'MultiInstance{name}') is not None:
        # none between the boxes; the N poses of a box need one
        none = evaluator.get('nms_mode') == 'none'
        nms = dict(nms_mode='oks_nms') if none else {}
        return base(path, type=f'MultiInstance{name}', **nms)
    primary = dict(type='PrimaryInstanceMetric', metric=base(path))
    return primary if path.endswith(']') else dict(_delete_=True, **primary)


def _type(part: dict) -> str:
    """A type without its scope, ``'mmpose.CocoMetric'`` → ``'CocoMetric'``."""
    name = part.get('type')
    return str(getattr(name, '__name__', name)).split('.')[-1]
