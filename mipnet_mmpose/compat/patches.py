"""Functions of MMPose and MMEngine that are replaced by ones that call them."""

import copy
import functools
from typing import Any, Callable

import mmpose.apis.inference as inference
import mmpose.apis.inferencers.base_mmpose_inferencer as inferencer
from mmengine.config import ConfigDict
from mmengine.config.utils import MODULE2PACKAGE
from mmengine.fileio import LocalBackend
from mmpose.datasets.transforms import KeypointConverter
from mmpose.engine.hooks import BadCaseAnalysisHook

from ..whole_files import written_whole


def patch() -> None:
    """Replace them all."""
    # MMPoseInferencer(pose2d=NAME, scope='mipnet_mmpose'): MMEngine knows no others
    MODULE2PACKAGE['mipnet_mmpose'] = 'mipnet_mmpose'
    _replace(LocalBackend, 'put', write_whole)
    _replace(KeypointConverter, 'transform', convert_without_3d)
    _replace(BadCaseAnalysisHook, 'check_badcase', judge_primary)
    for module in (inference, inferencer):  # each has it under its own name
        _replace(module, 'dataset_meta_from_config', look_into_wrappers)


def _replace(owner: Any, name: str, make: Callable[[Callable], Callable]) -> None:
    stock = getattr(owner, name)
    setattr(owner, name, functools.wraps(stock)(make(stock)))


def write_whole(stock: Callable) -> Callable:
    """A checkpoint is there as a whole or not at all, if its process is killed."""

    def put(self, obj, filepath):
        with written_whole(filepath) as part:
            stock(self, obj, part)

    return put


def convert_without_3d(stock: Callable) -> Callable:
    """``KeypointConverter`` takes COCO-WholeBody, which says ``keypoints_3d=None``."""

    def transform(self, results):
        if results.get('keypoints_3d', True) is None:
            del results['keypoints_3d']
        return stock(self, results)

    return transform


def judge_primary(stock: Callable) -> Callable:
    """``BadCaseAnalysisHook`` judges λ = 0 alone: it knows one person per box."""

    def check_badcase(self, data_batch, data_sample):
        poses = data_sample.pred_instances
        if 'lambdas' in poses:
            data_sample = copy.copy(data_sample)
            data_sample.pred_instances = poses[[int(poses.lambdas.argmin())]]
        return stock(self, data_batch, data_sample)

    return check_badcase


def look_into_wrappers(stock: Callable) -> Callable:
    """MMPose's APIs, which look into no wrapper, find the keypoints of its dataset."""

    def dataset_meta_from_config(config, dataset_mode='train'):
        key = f'{dataset_mode}_dataloader'
        dataset = (config.get(key) or {}).get('dataset') or {}
        while 'metainfo' not in dataset:
            inner = dataset.get('dataset') or dataset.get('datasets')
            if not inner:
                break
            dataset = inner[0] if isinstance(inner, (list, tuple)) else inner
        if dataset:
            config = ConfigDict({key: dict(dataset=dataset)})
        return stock(config, dataset_mode)

    return dataset_meta_from_config
