"""Who of the data can be pasted elsewhere."""

from collections.abc import Sequence
from typing import NamedTuple, Optional

import numpy as np
from mmengine.dataset import BaseDataset
from mmengine.logging import print_log

from .masks import MIN_SHARE
from .siblings import Persons, is_labelled


class Source(NamedTuple):
    """A stock dataset and what its samples go through before an image is loaded."""

    dataset: BaseDataset
    transforms: Sequence
    flip_indices: Optional[list[int]]  # of another dataset whose pipeline loads it


class Donors:
    """The persons of some datasets that can be pasted elsewhere.

    Their samples stay in the datasets; here is which they are and how large. A donor's
    mask covers at least a tenth of its box.

    Args:
        sources (Sequence[Source]): Datasets of the same keypoints.
        persons (Sequence[Persons]): Theirs, with masks.
        min_keypoints (int): A donor has this many labelled keypoints.

    Raises:
        ValueError: where there is none.
    """

    def __init__(
        self, sources: Sequence[Source], persons: Sequence[Persons], min_keypoints: int
    ):
        self.sources = sources
        shares = np.concatenate([p.mask_shares for p in persons])
        boxes = np.concatenate([p.boxes for p in persons])
        labelled = np.concatenate([is_labelled(p.visible).sum(axis=1) for p in persons])
        sizes = np.sqrt((boxes[:, 2:] - boxes[:, :2]).clip(0).prod(axis=1))
        samples = [(s, i) for s, p in enumerate(persons) for i in range(len(p.images))]
        order = np.argsort(sizes, kind='stable')
        fits = (shares >= MIN_SHARE) & (labelled >= min_keypoints)
        order = order[fits[order]]
        self.samples, self.sizes = np.array(samples, np.int32)[order], sizes[order]
        files = ', '.join(source.dataset.ann_file for source in sources)
        if not len(order):
            raise ValueError(
                f"paste_people: nobody in {files} has both a mask ('segmentation') and "
                f'{min_keypoints} labelled keypoints'
            )
        print_log(
            f'paste_people: {len(order)} of {len(shares)} persons in {files} can be '
            f'pasted; {(shares < MIN_SHARE).sum()} have a segmentation that is no mask '
            f'of at least {MIN_SHARE:.0%} of the box',
            'current',
        )

    def __len__(self) -> int:
        return len(self.samples)

    def draw(self, min_size: float) -> Optional[dict]:
        """A donor whose box has at least this size, in pixels, or None."""
        first = np.searchsorted(self.sizes, min_size)
        if first == len(self):
            return None
        number, index = self.samples[np.random.randint(first, len(self))]
        source = self.sources[number]
        donor = source.dataset.get_data_info(int(index))
        for transform in source.transforms:
            donor = transform(donor)
            if donor is None:
                return None
        if source.flip_indices is not None:
            donor['flip_indices'] = source.flip_indices
        return donor
