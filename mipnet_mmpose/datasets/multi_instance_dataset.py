from collections import defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, Optional, Union

import numpy as np
from mmengine.dataset import Compose
from mmengine.logging import print_log
from mmpose.datasets.transforms import GenerateTarget
from mmpose.registry import DATASETS

from .paste_people import Donors, PastePeople, Source, find_loading
from .sibling_pipeline import SiblingPipeline
from .siblings import Persons, SiblingIndex, read_persons
from .transforms import GenerateMultiInstanceTarget


@DATASETS.register_module()
class MultiInstanceDataset:
    """Any stock top-down dataset, with each sample's siblings at hand.

    A sibling is another person with keypoints in the same image. The stock
    dataset is built as it is but for two things: ``GenerateTarget`` in its
    pipeline becomes :class:`GenerateMultiInstanceTarget`, and the keypoints of
    the siblings go through the pipeline with each sample, see
    :class:`SiblingPipeline`. Their index is built once, in the main process of each
    rank, from the samples the stock dataset holds: a person left out by ``indices``
    or ``sample_interval`` is nobody's sibling, and a second annotation of the same
    person neither. A dataset without ``GenerateTarget`` in ``test_mode`` is passed
    through; test data need not be wrapped.

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
        movers (Sequence[str | type]): Transforms of your own that move keypoints, by
            name or type. Each must do the same to every row of ``keypoints``: the
            person of the box, then the siblings. Defaults to ().

    Raises:
        ValueError: naming the config key, where the dataset cannot be wrapped; or
            file and id, where a person has a box that is not finite or another number
            of keypoints than the first one.
    """

    def __init__(
        self,
        dataset: dict,
        num_instances: int = 2,
        min_keypoints: int = 4,
        pipeline: Optional[Sequence[dict]] = None,
        paste_people: Optional[dict] = None,
        movers: Sequence[Union[str, type]] = (),
    ):
        self.num_instances, self.min_keypoints = num_instances, min_keypoints
        self._paste = None if paste_people is None else PastePeople(**paste_people)
        if pipeline is not None:
            if dataset.get('pipeline'):
                raise ValueError(
                    'dataset.pipeline and dataset.dataset.pipeline are both given: '
                    'leave one of them out'
                )
            dataset = dict(dataset, pipeline=pipeline)
        self.dataset = DATASETS.build(dataset)
        chains = chain_datasets(self.dataset)
        parts = {id(part): part for chain in chains for part in chain}.values()
        if any(getattr(part, 'data_mode', 'topdown') != 'topdown' for part in parts):
            raise ValueError("dataset.data_mode must be 'topdown': one person a sample")
        holders = [part for part in parts if hasattr(part, 'pipeline')]
        swapped = [self._swap_target_generator(part.pipeline) for part in holders]
        self.generates_targets = any(swapped)
        browsed = pipeline is not None and not pipeline  # the annotations as they are
        if not (self.generates_targets or self.test_mode or browsed):
            raise ValueError('dataset.pipeline has no GenerateTarget to replace')
        self.sibling_indices: list[SiblingIndex] = []  # one a stock dataset
        if self.generates_targets and num_instances > 1:
            for part in holders:
                transforms = part.pipeline.transforms
                part.pipeline = SiblingPipeline(transforms, movers=movers)

    def _swap_target_generator(self, pipeline: Compose) -> bool:
        swapped = False
        for i, stock in enumerate(pipeline.transforms):
            if type(stock) in (GenerateTarget, GenerateMultiInstanceTarget):
                pipeline.transforms[i] = GenerateMultiInstanceTarget(
                    stock.encoder_cfg,
                    num_instances=self.num_instances,
                    min_keypoints=self.min_keypoints,
                    multilevel=stock.multilevel,
                    use_dataset_keypoint_weights=stock.use_dataset_keypoint_weights,
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
        return all(part.test_mode for part, *_ in chain_datasets(self.dataset))

    @property
    def pipeline(self) -> Compose:
        """Compose: of the stock dataset, or of the outermost wrapper that has one.

        MMDetection's ``PipelineSwitchHook`` sets it.
        """
        return self._with_pipeline.pipeline

    @pipeline.setter
    def pipeline(self, pipeline: Compose) -> None:
        old = self.pipeline
        self._swap_target_generator(pipeline)
        for transform in old.transforms:
            if isinstance(transform, PastePeople):
                transform.insert(pipeline, transform.donors)
        if isinstance(old, SiblingPipeline):
            pipeline = SiblingPipeline(pipeline.transforms, old.index, old.movers)
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
        parts = [part for part, *_ in chain_datasets(self.dataset)]
        persons = [read_persons(part, self._paste is not None) for part in parts]
        indices = []
        for part, people in zip(parts, persons):
            sigmas = part.metainfo.get('sigmas', ())
            index = SiblingIndex(people, self.min_keypoints, sigmas)
            indices.append(index)
            print_log(
                f'{type(part).__name__}: {len(np.unique(index.person))} of '
                f'{len(index)} samples have a sibling with at least '
                f'{self.min_keypoints} keypoints in the image; '
                f'{len(index) - len(np.unique(index.identity))} are the same person '
                'as another one',
                'current',
            )
            if isinstance(part.pipeline, SiblingPipeline):
                part.pipeline.index = index
        if self._paste is not None:
            self._paste_into_samples(persons)
        self.sibling_indices = indices

    def _paste_into_samples(self, persons: Sequence[Persons]) -> None:
        """Let each pipeline that loads an image paste people into it."""
        sources: dict[tuple, list] = defaultdict(list)
        loading = {}
        for people, chain in zip(persons, chain_datasets(self.dataset)):
            before: list = []
            for holder in (part for part in chain if hasattr(part, 'pipeline')):
                place = find_loading(holder.pipeline)
                before += holder.pipeline.transforms[:place]
                if place is not None:
                    break
            # datasets of the same keypoints paste each other's persons
            meta = holder.metainfo
            kind = meta['dataset_name'], meta['num_keypoints']
            flip_indices = None if holder is chain[0] else meta['flip_indices']
            sources[kind].append((Source(chain[0], before, flip_indices), people))
            loading[id(holder.pipeline)] = holder.pipeline, kind
        for kind, parts in sources.items():
            donors = Donors(*zip(*parts), self._paste.min_keypoints)
            for pipeline in (p for p, its_kind in loading.values() if its_kind == kind):
                self._paste.insert(pipeline, donors)

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, idx: int) -> Any:
        self.full_init()
        return self.dataset[idx]

    def get_data_info(self, idx: int) -> dict:
        """Annotation of a sample, as the stock dataset gives it."""
        return self.dataset.get_data_info(idx)


def chain_datasets(dataset: Any, around: tuple = ()) -> Iterator[tuple]:
    """Each stock dataset with those around it, the inner ones first."""
    chain = (dataset, *around)
    inside = getattr(dataset, 'datasets', None) or [getattr(dataset, 'dataset', None)]
    for part in inside:
        yield from [chain] if part is None else chain_datasets(part, chain)
