import copy
from typing import Any, Dict, Iterator

import numpy as np
from mmengine.config import ConfigDict
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log
from mmpose.datasets.transforms import GenerateTarget
from mmpose.registry import DATASETS

from .siblings import SiblingIndex
from .transforms import GenerateMultiInstanceTarget


@DATASETS.register_module()
class MultiInstanceDataset:
    """Any stock top-down dataset, with each sample's siblings at hand.

    A sibling is another person with keypoints in the same image. The stock
    dataset is built as it is but for two things: ``GenerateTarget`` in its
    pipeline becomes :class:`GenerateMultiInstanceTarget`, and the keypoints of
    the siblings go into the pipeline with each sample. Their index is built
    once, in the main process. A dataset without ``GenerateTarget`` in
    ``test_mode`` is passed through.

    Args:
        dataset (dict): Config of the stock dataset.
        num_instances (int): Instances N per box. Defaults to 2.
        min_keypoints (int): A sibling needs this many labelled keypoints
            inside the crop. Defaults to 4 (the authors drop one with 3 or
            fewer).

    Raises:
        ValueError: naming the config key, where the dataset cannot be wrapped.
    """

    def __init__(self, dataset: dict, num_instances: int = 2, min_keypoints: int = 4):
        if num_instances < 1:
            raise ValueError(
                f'dataset.num_instances must be at least 1, got {num_instances}'
            )
        self.num_instances = num_instances
        self.min_keypoints = min_keypoints
        cfg = copy.deepcopy(dataset)
        if cfg.get('data_mode', 'topdown') != 'topdown':
            raise ValueError(
                f"dataset.data_mode is {cfg['data_mode']!r}: only 'topdown' datasets "
                'have one person per sample'
            )
        swapped = _swap_target_generators(cfg, num_instances, min_keypoints)
        self.generates_targets = swapped > 0
        self.dataset = DATASETS.build(cfg)
        if not self.generates_targets and not self.dataset.test_mode:
            raise ValueError(
                'dataset.pipeline has no GenerateTarget, which MultiInstanceDataset '
                'would put the targets of the siblings in place of'
            )
        self._indexed = False

    @property
    def metainfo(self) -> dict:
        """dict: meta information of the stock dataset."""
        return self.dataset.metainfo

    @property
    def test_mode(self) -> bool:
        """bool: of the stock dataset."""
        return self.dataset.test_mode

    def full_init(self) -> None:
        """Load the annotations and build the sibling index."""
        self.dataset.full_init()
        if self.generates_targets and not self._indexed:
            for leaf in _leaves(self.dataset):
                index = build_sibling_index(leaf, self.min_keypoints)
                leaf.pipeline.transforms.insert(0, AddSiblings(index))
        self._indexed = True

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, idx: int) -> Any:
        if not self._indexed:
            self.full_init()
        return self.dataset[idx]

    def get_data_info(self, idx: int) -> dict:
        """Annotation of a sample, as the stock dataset gives it."""
        return self.dataset.get_data_info(idx)


class AddSiblings:
    """First transform of a pipeline: look up the sample's siblings."""

    def __init__(self, index: SiblingIndex):
        self.index = index

    def __call__(self, results: Dict) -> Dict:
        results['siblings'] = self.index[results['sample_idx']]
        return results

    def __repr__(self) -> str:
        return f'AddSiblings(samples={len(self.index)})'


def build_sibling_index(dataset: BaseDataset, min_keypoints: int) -> SiblingIndex:
    """Read every annotation of a stock dataset once."""
    keys, centers, keypoints, visible = [], [], [], []
    for i in range(len(dataset)):
        info = BaseDataset.get_data_info(dataset, i)
        keys.append(info['img_path'])
        box = np.reshape(info['bbox'], (2, 2))
        centers.append(box.mean(axis=0))
        keypoints.append(info['keypoints'][0, :, :2])
        visible.append(info['keypoints_visible'][0])
    index = SiblingIndex(
        keys, np.array(centers), np.array(keypoints), np.array(visible), min_keypoints
    )
    with_sibling = sum(len(index[i][0]) > 0 for i in range(len(index)))
    print_log(
        f'{type(dataset).__name__}: {with_sibling} of {len(index)} samples have a '
        f'sibling with at least {min_keypoints} keypoints in the image',
        'current',
    )
    return index


def _swap_target_generators(cfg: Any, num_instances: int, min_keypoints: int) -> int:
    """Swap ``GenerateTarget`` in every pipeline of a dataset config."""
    swapped = 0
    for transform in cfg.get('pipeline') or ():
        if not isinstance(transform, dict):
            continue
        if transform.get('type') in (
            'GenerateTarget',
            'mmpose.GenerateTarget',
            GenerateTarget,
            'GenerateMultiInstanceTarget',
            GenerateMultiInstanceTarget,
        ):
            transform.update(
                type='GenerateMultiInstanceTarget',
                num_instances=num_instances,
                min_keypoints=min_keypoints,
            )
            swapped += 1
    inner = [cfg['dataset']] if 'dataset' in cfg else cfg.get('datasets', ())
    for dataset in inner:
        if isinstance(dataset, (dict, ConfigDict)):
            swapped += _swap_target_generators(dataset, num_instances, min_keypoints)
    return swapped


def _leaves(dataset: Any) -> Iterator[BaseDataset]:
    """The datasets with annotations inside wrappers of datasets."""
    if hasattr(dataset, 'datasets'):
        for inner in dataset.datasets:
            yield from _leaves(inner)
    elif hasattr(dataset, 'dataset'):
        yield from _leaves(dataset.dataset)
    else:
        yield dataset
