"""A stock top-down config becomes a MIPNet: the few lines that it takes."""

import copy
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple, Union

import torch
from mmengine.config import Config
from mmengine.registry import DefaultScope
from mmpose.registry import METRICS, MODELS
from torch import Tensor, nn

from ..datasets.num_keypoints import check_num_keypoints
from ..models.mimb import channel_axis, map_features
from .config_text import Base, Variable, apply_changes
from .places import default_places

OLD_MODELS = ('TopDown', 'BottomUp', 'AssociativeEmbedding', 'DisentangledKeypoint')
OLD_MODELS += ('PoseLifter3D', 'MultiTask', 'Interhand3D', 'ParametricMesh')
OURS = ('PrimaryInstanceMetric', 'MultiInstanceCocoMetric')
OURS += ('MultiInstanceCocoWholeBodyMetric', 'MultiInstancePoseTrack18Metric')


def mipnetify(
    cfg: Config,
    num_instances: int = 2,
    where: str = 'neck',
    insert: Optional[Sequence[dict]] = None,
    init: Optional[str] = None,
    load_from: Optional[str] = None,
    freeze: bool = False,
    presence: bool = False,
    paste_people: bool = False,
) -> Config:
    """Turn any stock top-down config into a MIPNet.

    The stock model is built and run once on an empty crop, to find channels. Its
    weights are neither loaded nor downloaded.

    Args:
        cfg (Config): A stock config of a ``TopdownPoseEstimator``.
        num_instances (int): Poses N per box. Defaults to 2.
        where (str): ``'neck'`` puts the MIMBs behind the backbone and its neck,
            ``'backbone'`` inside the backbone, at the place of its family (see
            :mod:`mipnet_mmpose.mipnetify.places`). Defaults to ``'neck'``.
        insert (Sequence[dict], optional): Other places in the backbone, as for
            :func:`MIMBBackbone`.
        init (str, optional): ``'paper'`` or ``'identity'``, see :class:`MIMB`. Defaults
            to ``'identity'`` with ``load_from``, so that the trained model is left as
            it was, and to ``'paper'`` without.
        load_from (str, optional): Checkpoint of the stock model to start from. The
            weights that the stock backbone starts from are then not fetched.
        freeze (bool): Train the MIMBs and presence alone, see
            :class:`FreezeStockHook`. λ = 0 bypasses the MIMBs, so its pose stays that
            of the checkpoint. Needs ``load_from``. Defaults to False.
        presence (bool): Let the head say whether there is a person for λ ≥ 1, see
            :class:`MIPNetHead`. Defaults to False.
        paste_people (bool): Paste people onto each other in training, see
            :class:`PastePeople`; the data need masks. Defaults to False.

    Returns:
        Config: what is not the model's MIMBs and head, the training dataset, the
        evaluators, ``custom_hooks`` and ``custom_imports`` is as in ``cfg``.

    Raises:
        ValueError: naming the config key, where no MIPNet can be made of it.
    """
    changes = mipnet_changes(
        cfg,
        num_instances,
        where,
        insert,
        init,
        load_from,
        freeze,
        presence,
        paste_people,
    )
    return apply_changes(cfg, changes)


def mipnet_changes(
    cfg: Config,
    num_instances: int = 2,
    where: str = 'neck',
    insert: Optional[Sequence[dict]] = None,
    init: Optional[str] = None,
    load_from: Optional[str] = None,
    freeze: bool = False,
    presence: bool = False,
    paste_people: bool = False,
) -> Dict[str, Any]:
    """What :func:`mipnetify` merges into the config, key by key.

    Arguments and errors as there. Values of the stock config that go on are
    :class:`Base`, so that a config file can name them.
    """
    check_topdown(cfg)
    check_num_keypoints(cfg)
    if type(num_instances) is not int or num_instances < 1:
        raise ValueError(
            f'num_instances must be an integer of at least 1, got {num_instances!r}'
        )
    if freeze and load_from is None:
        raise ValueError('freeze needs load_from, a checkpoint of the stock model')
    if presence and num_instances == 1:
        raise ValueError('presence is of λ ≥ 1: it needs num_instances of at least 2')
    if init is None:
        init = 'paper' if load_from is None else 'identity'
    for key, value, known in (
        ('where', where, ('neck', 'backbone')),
        ('init', init, ('paper', 'identity')),
    ):
        if value not in known:
            raise ValueError(
                f'{key} must be {known[0]!r} or {known[1]!r}, got {value!r}'
            )
    n = Variable(num_instances)
    mimbs = dict(num_instances=n)
    if init == 'identity':
        mimbs['init'] = init
    if freeze:
        mimbs['bypass_primary'] = True
    init_cfg = cfg.model.backbone.get('init_cfg')
    fetches = any(part.get('type') == 'Pretrained' for part in _dicts(init_cfg))
    weights = dict(init_cfg=None) if load_from is not None and fetches else {}
    if where == 'backbone' or insert is not None:
        backbone = dict(
            _delete_=True,
            type='MIMBBackbone',
            backbone=Base('model.backbone', **weights),
            **_backbone_places(cfg, num_instances, insert),
            **mimbs,
        )
        model = dict(backbone=backbone)
    else:
        model = dict(backbone=weights) if weights else {}
        model['neck'] = _neck(cfg, mimbs)
    model['head'] = dict(
        _delete_=True, type='MIPNetHead', head=Base('model.head'), num_instances=n
    )
    if presence:
        model['head']['presence'] = {}

    changes: Dict[str, Any] = dict(custom_imports=dict(imports=_imports(cfg)))
    changes['num_instances'] = n
    if load_from is not None:
        changes['load_from'] = load_from
    hooks = [dict(type='MIPNetCheckHook')]
    if freeze:
        hooks.append(dict(type='FreezeStockHook'))
    stock_hooks = [Base('custom_hooks', star=True)] if cfg.get('custom_hooks') else []
    changes['custom_hooks'] = [*stock_hooks, *hooks]
    changes['model'] = model
    if cfg.get('train_dataloader') is not None:
        dataset = _train_dataset(cfg, n)
        if paste_people:
            dataset['paste_people'] = {}
        changes['train_dataloader'] = dict(dataset=dataset)
    for key in ('val_evaluator', 'test_evaluator'):
        if cfg.get(key) is not None:
            changes[key] = _evaluator(cfg[key], key)
    # one name for both, but not for what mmengine takes _delete_ out of when it merges
    if cfg.get('val_evaluator') and cfg.val_evaluator == cfg.get('test_evaluator'):
        if not any('_delete_' in part for part in _dicts(changes['val_evaluator'])):
            changes['test_evaluator'] = changes['val_evaluator']
    return changes


def check_topdown(cfg: Config) -> None:
    """Refuse what cannot become a MIPNet.

    Raises:
        ValueError: naming the config key and the reason.
    """
    model = cfg.get('model') or {}
    name = _bare(model.get('type'))
    if name in OLD_MODELS or 'keypoint_head' in model or 'data' in cfg:
        raise ValueError(
            f'model.type is {name!r}: this is a config of MMPose 0.x (model.keypoint_'
            'head, data, evaluation). Take the config of MMPose 1.x for the same model'
        )
    if name == 'DWPoseDistiller':
        raise ValueError(
            "model.type is 'DWPoseDistiller', which trains a student on a teacher's "
            'output, one pose per box: make a MIPNet of the config in '
            f'model.student_cfg, {model.get("student_cfg")!r}'
        )
    if name != 'TopdownPoseEstimator':
        raise ValueError(
            f"model.type is {name!r}: only 'TopdownPoseEstimator' answers one pose "
            'per box, which MIPNet makes several of'
        )
    head = _bare((model.get('head') or {}).get('type'))
    if head == 'MIPNetHead':
        raise ValueError("model.head.type is 'MIPNetHead': this is a MIPNet already")
    if head is None:
        raise ValueError('model.head is missing: there is nothing to give poses')
    if head == 'InternetHead':
        raise ValueError(
            "model.head.type is 'InternetHead', which gives 3D poses of both hands: "
            'MIPNet is for 2D poses'
        )


def _build(cfg: dict) -> nn.Module:
    try:
        with DefaultScope.overwrite_default_scope('mmpose'):
            return MODELS.build(copy.deepcopy(cfg))  # some parts change their config
    except KeyError as error:  # not registered, such as without mmpretrain
        raise ValueError(f'model: {error.args[0]}') from error


def _backbone_places(
    cfg: Config, num_instances: int, insert: Optional[Sequence[dict]]
) -> Dict[str, Any]:
    """``insert`` and, where the default does not suit, ``input_size``."""
    if insert is None:
        insert = default_places(_build(cfg.model.backbone))
    places = dict(insert=[dict(place) for place in insert])
    mipnet = dict(
        places,
        type='MIMBBackbone',
        backbone=cfg.model.backbone,
        num_instances=num_instances,
    )
    try:
        _build(mipnet)
    except ValueError:
        places['input_size'] = crop_size(cfg)
        _build(dict(mipnet, **places))  # raises where a place is wrong
    return places


def _neck(cfg: Config, mimbs: dict) -> dict:
    neck = dict(type='MIMBNeck', in_channels=_neck_channels(cfg), **mimbs)
    if 'neck' in cfg.model:
        neck = dict(_delete_=True, **neck)
        if cfg.model.neck is not None:
            neck['neck'] = Base('model.neck')
    return neck


def _neck_channels(cfg: Config) -> Union[int, List[Optional[int]]]:
    """Channels of each feature level, ``None`` where the head does not use it."""
    stock = _build(cfg.model)
    for part in stock.children():
        part.eval()
    width, height = crop_size(cfg)
    levels: List[Tensor] = []
    outputs: List[Tensor] = []

    def visit(x: Tensor) -> Tensor:
        levels.append(x.detach().requires_grad_())
        return levels[-1]

    try:
        with torch.no_grad():
            feats = stock.extract_feat(torch.zeros(1, 3, height, width))
        feats = (feats,) if isinstance(feats, Tensor) else feats
        map_features(outputs.append, stock.head(map_features(visit, feats)))
    except RuntimeError as error:
        raise ValueError(
            f'model: a dry run of the stock model on crops of {width}x{height} pixels '
            f'fails ({error})'
        ) from error
    used = torch.autograd.grad(sum(x.sum() for x in outputs), levels, allow_unused=True)
    channels = [
        None if grad is None else x.size(channel_axis(x))
        for x, grad in zip(levels, used)
    ]
    return channels[0] if len(channels) == 1 else channels


def crop_size(cfg: Config) -> Tuple[int, int]:
    """Width and height of the crops, from the pipelines or the codec."""
    loaders = [cfg.get(f'{name}_dataloader') for name in ('train', 'val', 'test')]
    for part in _dicts([*loaders, cfg.model.head]):
        if 'input_size' in part:
            return tuple(part['input_size'])
    raise ValueError(
        'the size of the crops is not to be found: no TopdownAffine in the pipelines '
        'and no model.head.decoder has an input_size'
    )


def _imports(cfg: Config) -> List[Any]:
    # mipnet_mmpose first: on mmcv-lite it is what makes mmpose.models importable
    stock = (cfg.get('custom_imports') or {}).get('imports', [])
    if isinstance(stock, str):
        return ['mipnet_mmpose', stock]
    if not stock:
        return ['mipnet_mmpose']
    return ['mipnet_mmpose', Base('custom_imports.imports', star=True)]


def _train_dataset(cfg: Config, num_instances: int) -> dict:
    dataset = dict(_delete_=True, type='MultiInstanceDataset')
    path = 'train_dataloader.dataset'
    if cfg.train_dataloader.dataset.get('pipeline'):
        dataset['dataset'] = Base(path, pipeline=[])
        dataset['pipeline'] = Base(f'{path}.pipeline')  # where MMPose's scripts look
    else:
        dataset['dataset'] = Base(path)
    return dict(dataset, num_instances=num_instances)


def _evaluator(evaluator: Any, path: str) -> Any:
    """What is merged into the config of an evaluator, in whichever form it is."""
    if isinstance(evaluator, (list, tuple)):
        return [_metric(item, f'{path}[{i}]') for i, item in enumerate(evaluator)]
    metric = _metric(evaluator, path)
    if isinstance(metric, Base):  # merged into the stock evaluator
        return metric.updates
    return dict(_delete_=True, **metric)


def _metric(metric: Any, path: str) -> Any:
    """The metric for N poses per box, or else the stock one for those of λ = 0."""
    if not isinstance(metric, dict):
        raise ValueError(f'{path} must be the config of a metric, got {metric!r}')
    if 'metrics' in metric:  # an evaluator, such as MultiDatasetEvaluator
        inner, path_in = metric['metrics'], f'{path}.metrics'
        if isinstance(inner, dict):
            return Base(path, metrics=[_metric(inner, path_in)])
        return Base(path, metrics=_evaluator(inner, path_in))
    if 'type' not in metric:
        raise ValueError(f'{path}.type is missing: it names the metric')
    name = _bare(metric['type'])
    if name == 'DumpResults' or name in OURS:
        return Base(path)
    if METRICS.get(f'MultiInstance{name}') is None:
        return dict(type='PrimaryInstanceMetric', metric=Base(path))
    return Base(path, type=f'MultiInstance{name}')


def _bare(name: Any) -> Any:
    """A type without its scope, ``'mmpose.CocoMetric'`` → ``'CocoMetric'``."""
    if isinstance(name, type):
        name = name.__name__
    return name.split('.')[-1] if isinstance(name, str) else name


def _dicts(tree: Any) -> Iterator[dict]:
    if isinstance(tree, dict):
        yield tree
        tree = tree.values()
    if not isinstance(tree, str) and hasattr(tree, '__iter__'):
        for item in tree:
            yield from _dicts(item)
