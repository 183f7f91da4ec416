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

# MMPoseInferencer(pose2d=NAME, scope='mipnet_mmpose'): MMEngine knows no others
MODULE2PACKAGE['mipnet_mmpose'] = 'mipnet_mmpose'


def replaces(owner: Any, name: str) -> Callable[[Callable], Callable]:
    """Put a function in the place of a stock one, which is its first argument."""

    def replace(function: Callable) -> Callable:
        stock = getattr(owner, name)

        @functools.wraps(stock)
        def call(*args, **kwargs):
            return function(stock, *args, **kwargs)

        setattr(owner, name, call)
        return function

    return replace


@replaces(LocalBackend, 'put')
def write_whole(stock, self, obj, filepath):
    """A checkpoint is there as a whole or not at all, if its process is killed."""
    with written_whole(filepath) as part:
        stock(self, obj, part)


@replaces(KeypointConverter, 'transform')
def convert_without_3d(stock, self, results):
    """``KeypointConverter`` takes COCO-WholeBody, which says ``keypoints_3d=None``."""
    if results.get('keypoints_3d', True) is None:
        del results['keypoints_3d']
    return stock(self, results)


@replaces(BadCaseAnalysisHook, 'check_badcase')
def judge_primary(stock, self, data_batch, data_sample):
    """``BadCaseAnalysisHook`` judges λ = 0 alone: it knows one person per box."""
    poses = data_sample.pred_instances
    if 'lambdas' in poses:
        data_sample = copy.copy(data_sample)
        data_sample.pred_instances = poses[[int(poses.lambdas.argmin())]]
    return stock(self, data_batch, data_sample)


@replaces(inference, 'dataset_meta_from_config')
@replaces(inferencer, 'dataset_meta_from_config')  # there under its own name
def look_into_wrappers(stock, config, dataset_mode='train'):
    """MMPose's APIs, which look into no wrapper, find the keypoints of its dataset."""
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
