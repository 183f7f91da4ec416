from typing import Any, Iterator, List, Optional, Sequence

import numpy as np
from mmengine.dataset import BaseDataset, Compose
from mmengine.dist import get_world_size
from mmengine.logging import print_log
from mmpose.datasets.transforms import GenerateTarget
from mmpose.registry import DATASETS

from .dataset_files import check_config_files, name_unreadable
from .paste_people import PastePeople, insert_behind_loading
from .sibling_pipeline import KeypointsMoved, SiblingPipeline
from .siblings import SiblingIndex
from .transforms import GenerateMultiInstanceTarget


@DATASETS.register_module()
class MultiInstanceDataset:
    """Any stock top-down dataset, with each sample's siblings at hand.

    A sibling is another person with keypoints in the same image. The stock
    dataset is built as it is but for two things: ``GenerateTarget`` in its
    pipeline becomes :class:`GenerateMultiInstanceTarget`, and the keypoints of
    the siblings go through the pipeline with each sample, see
    :class:`SiblingPipeline`. Their index is built once, in the main process
    (with several ranks in each, and then kept once for all ranks of a machine),
    from the samples the stock dataset holds: a person left out by ``indices`` or
    ``sample_interval`` is nobody's sibling. A dataset without ``GenerateTarget``
    in ``test_mode`` is passed through; test data need not be wrapped.

    Args:
        dataset (dict): Config of the stock dataset.
        num_instances (int): Instances N per box. Defaults to 2.
        min_keypoints (int): A sibling needs this many labelled keypoints
            inside the crop. Defaults to 4 (the authors drop one with 3 or
            fewer).
        pipeline (Sequence[dict], optional): That of the stock dataset, which has none
            of its own then. MMPose's ``browse_dataset.py`` reads it here; an empty one
            gives the annotations as they are.
        paste_people (dict, optional): Arguments of :class:`PastePeople`, to paste other
            persons of the data into the images; ``dict()`` for its defaults. Defaults
            to None, for the images as they are.

    Raises:
        ValueError: naming the config key, where the dataset cannot be wrapped; or
            file, id and key, where the annotation file or the ``bbox_file`` cannot be
            read or would give wrong persons.
    """

    def __init__(
        self,
        dataset: dict,
        num_instances: int = 2,
        min_keypoints: int = 4,
        pipeline: Optional[Sequence[dict]] = None,
        paste_people: Optional[dict] = None,
    ):
        if num_instances < 1:
            raise ValueError(
                f'dataset.num_instances must be at least 1, got {num_instances}'
            )
        self.num_instances = num_instances
        self.min_keypoints = min_keypoints
        self._paste = None if paste_people is None else PastePeople(**paste_people)
        if pipeline is not None:
            if dataset.get('pipeline'):
                raise ValueError(
                    'dataset.pipeline and dataset.dataset.pipeline are both given: '
                    'leave one of them out'
                )
            dataset = dict(dataset, pipeline=pipeline)
        check_config_files(dataset, 'dataset')
        try:
            self.dataset = DATASETS.build(dataset)
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            name_unreadable(dataset, 'dataset')
            files = ', '.join(_ann_files(dataset))
            raise ValueError(
                f'dataset with ann_file={files}: {type(error).__name__}: {error}'
            ) from error
        self.generates_targets = False
        for part in walk_datasets(self.dataset):
            mode = getattr(part, 'data_mode', 'topdown')
            if mode != 'topdown':
                raise ValueError(
                    f'dataset.data_mode of {type(part).__name__} is {mode!r}: only '
                    "'topdown' datasets have one person per sample"
                )
            if hasattr(part, 'pipeline'):
                self.generates_targets |= self._swap_target_generator(part.pipeline)
        browsed = pipeline is not None and not pipeline  # the annotations as they are
        if not (self.generates_targets or self.test_mode or browsed):
            raise ValueError(
                'dataset.pipeline has no GenerateTarget, which MultiInstanceDataset '
                'would put the targets of the siblings in place of'
            )
        self.sibling_indices: List[SiblingIndex] = []  # one a stock dataset
        if self.generates_targets and num_instances > 1:
            for part in walk_datasets(self.dataset):
                if hasattr(part, 'pipeline'):
                    part.pipeline = SiblingPipeline(part.pipeline.transforms)

    def _swap_target_generator(self, pipeline: Compose) -> bool:
        swapped = False
        for i, transform in enumerate(pipeline.transforms):
            if isinstance(transform, GenerateTarget):
                pipeline.transforms[i] = GenerateMultiInstanceTarget(
                    transform.encoder_cfg,
                    num_instances=self.num_instances,
                    min_keypoints=self.min_keypoints,
                    multilevel=transform.multilevel,
                    use_dataset_keypoint_weights=transform.use_dataset_keypoint_weights,
                )
                swapped = True
        return swapped

    @property
    def metainfo(self) -> dict:
        """dict: meta information of the stock dataset."""
        return self.dataset.metainfo

    @property
    def test_mode(self) -> bool:
        """bool: whether every stock dataset inside is in test mode."""
        return all(
            part.test_mode for part in walk_datasets(self.dataset) if is_stock(part)
        )

    @property
    def pipeline(self) -> Compose:
        """Compose: of the stock dataset, or of the outermost wrapper that has one.

        MMDetection's ``PipelineSwitchHook`` sets it.
        """
        return self._with_pipeline.pipeline

    @pipeline.setter
    def pipeline(self, pipeline: Compose) -> None:
        if not hasattr(self._with_pipeline, 'pipeline'):
            raise AttributeError(
                f'{type(self._with_pipeline).__name__} has no pipeline to switch'
            )
        self._swap_target_generator(pipeline)
        for transform in self.pipeline.transforms:
            if isinstance(transform, PastePeople):
                insert_behind_loading(pipeline, transform)
        if isinstance(self.pipeline, SiblingPipeline):
            pipeline = SiblingPipeline(pipeline.transforms, self.pipeline.index)
        self._with_pipeline.pipeline = pipeline

    @property
    def _with_pipeline(self) -> Any:
        dataset = self.dataset
        while not hasattr(dataset, 'pipeline') and hasattr(dataset, 'dataset'):
            dataset = dataset.dataset
        return dataset

    def full_init(self) -> None:
        """Load the annotations and build the sibling index."""
        self.dataset.full_init()
        if not self.generates_targets or self.sibling_indices:
            return
        parts = list(filter(is_stock, walk_datasets(self.dataset)))
        indices = [build_sibling_index(part, self.min_keypoints) for part in parts]
        for part, index in zip(parts, indices):
            if get_world_size() > 1:
                index.share()
            if isinstance(part.pipeline, SiblingPipeline):
                part.pipeline.index = index
        if self._paste is not None:
            self._paste_into_samples(parts, indices)
        self.sibling_indices = indices

    def _paste_into_samples(
        self, parts: Sequence[BaseDataset], indices: Sequence[SiblingIndex]
    ) -> None:
        """Let each pipeline paste people, right behind the loading of the image."""
        donors = {}  # datasets of the same persons paste each other's
        for part, index in zip(parts, indices):
            kind = part.metainfo['dataset_name']
            if kind not in donors:
                alike = [p for p in parts if p.metainfo['dataset_name'] == kind]
                donors[kind] = self._paste.find_donors(alike)
                if get_world_size() > 1:
                    donors[kind].share()
            index = index if self.num_instances > 1 else None
            insert_behind_loading(
                part.pipeline, self._paste.prepare(donors[kind], index)
            )

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, idx: int) -> Any:
        self.full_init()
        while True:
            try:
                return self.dataset[idx]
            except KeypointsMoved:
                continue  # it knows of one more transform that moves keypoints

    def get_data_info(self, idx: int) -> dict:
        """Annotation of a sample, as the stock dataset gives it."""
        return self.dataset.get_data_info(idx)


def build_sibling_index(dataset: BaseDataset, min_keypoints: int) -> SiblingIndex:
    """Read every annotation of a stock dataset once.

    Args:
        dataset (BaseDataset): A top-down dataset.
        min_keypoints (int): As for :class:`SiblingIndex`.
    """
    keys, centers, keypoints, visible = [], [], [], []
    for i in range(len(dataset)):
        info = BaseDataset.get_data_info(dataset, i)
        _check_person(info, dataset.ann_file, len((keypoints or info['keypoints'])[0]))
        path = info['img_path']  # of a video several, the person's frame first
        keys.append(path if isinstance(path, str) else path[0])
        box = np.reshape(info['bbox'], (2, 2))
        centers.append(box.mean(axis=0))
        keypoints.append(info['keypoints'][0, :, :2])
        visible.append(info['keypoints_visible'][0])
    index = SiblingIndex(
        keys,
        np.array(centers),
        np.array(keypoints, np.float32),
        np.array(visible),
        min_keypoints,
    )
    with_sibling = sum(len(index[i][0]) > 0 for i in range(len(index)))
    print_log(
        f'{type(dataset).__name__}: {with_sibling} of {len(index)} samples have a '
        f'sibling with at least {min_keypoints} keypoints in the image',
        'current',
    )
    return index


def _check_person(info: dict, ann_file: str, num_keypoints: int) -> None:
    problem = None
    if not np.isfinite(info['bbox']).all():
        problem = f'the box {info["bbox"].tolist()}'
    elif info['keypoints'].shape[1] != num_keypoints:
        num = info['keypoints'].shape[1]
        problem = f'{num} keypoints, the first one {num_keypoints}'
    if problem:
        raise ValueError(
            f'{ann_file}: the person with id {info.get("id")} has {problem}'
        )


def _ann_files(dataset: dict) -> Iterator[str]:
    """The annotation files in a config of a dataset or of a wrapper of some."""
    if 'ann_file' in dataset:
        yield str(dataset['ann_file'])
    for part in (dataset.get('dataset'), *dataset.get('datasets', ())):
        if part:
            yield from _ann_files(part)


def is_stock(dataset: Any) -> bool:
    """Whether it holds samples itself instead of wrapping another dataset."""
    return not hasattr(dataset, 'datasets') and not hasattr(dataset, 'dataset')


def walk_datasets(dataset: Any) -> Iterator[Any]:
    """A dataset and the datasets inside it, the outer ones first."""
    yield dataset
    if not is_stock(dataset):
        inner = dataset.datasets if hasattr(dataset, 'datasets') else [dataset.dataset]
        for part in inner:
            yield from walk_datasets(part)
