"""The siblings go through the transforms that the person of a sample goes through."""

from collections.abc import Sequence
from typing import Callable, Optional, Union

import numpy as np
from mmengine.dataset import Compose
from mmpose.datasets.transforms import KeypointConverter, RandomFlip, TopdownAffine

from .paste_people import PastePeople
from .siblings import SiblingIndex
from .transforms import GenerateMultiInstanceTarget

KNOW_SIBLINGS = (PastePeople, GenerateMultiInstanceTarget)
MOVERS = (KeypointConverter, RandomFlip, TopdownAffine)
# rows are persons, in pixels of the image, labels, in pixels of the crop
ROWS = ('keypoints', 'keypoints_visible', 'transformed_keypoints')


class SiblingPipeline(Compose):
    """A stock pipeline that moves the siblings as it moves the person.

    A transform that moves keypoints (:data:`MOVERS`, those named, and one such as
    ``RandomApply`` that has some of them inside) is given all persons as rows, the
    person of the box first. Any other is given the person alone, as in stock MMPose; it
    is a ValueError that names it where it moved that person.

    The index is of the dataset whose samples start here. A wrapper's pipeline has none:
    its samples bring their siblings along.

    Added key: ``siblings``, a dict with the siblings' rows of ``keypoints`` (S, K, 2),
    ``keypoints_visible`` (S, K) or (S, K, 2) and, after the crop,
    ``transformed_keypoints`` (S, K, 2), nearest box centre first; and ``centers``
    (S, 2), those of their boxes in the image that is loaded.
    """

    def __init__(
        self,
        transforms: Sequence,
        index: Optional[SiblingIndex] = None,
        movers: Sequence[Union[str, type]] = (),
    ) -> None:
        super().__init__(transforms)
        self.index = index
        self.movers = [m if isinstance(m, str) else m.__name__ for m in movers]

    def __call__(self, data: dict) -> Optional[dict]:
        """One sample, or None where a transform drops it."""
        if self.index is not None:
            data['siblings'] = self.index.siblings(data['sample_idx'])
        for transform in self.transforms:
            if 'siblings' not in data or isinstance(transform, KNOW_SIBLINGS):
                data = transform(data)
            elif self._moves(transform):
                data = _move_everybody(transform, data)
            else:
                data = _move_nobody(transform, data)
            if data is None:
                return None
        return data

    def _moves(self, transform: Callable) -> bool:
        if isinstance(transform, MOVERS) or _name(transform) in self.movers:
            return True
        return any(map(self._moves, getattr(transform, 'transforms', None) or ()))


def _move_nobody(transform: Callable, results: dict) -> Optional[dict]:
    """Give a transform the person, who must stay where the siblings stay."""
    places = ('keypoints', 'transformed_keypoints')
    before = {key: np.array(results[key]) for key in places if key in results}
    siblings = results['siblings']
    results = transform(results)
    if results is None or 'keypoints' not in results:  # dropped, or packed
        return results
    results.setdefault('siblings', siblings)  # in case it is another dict
    for key in places:
        if key in results and not np.array_equal(
            before.get(key, np.nan), results[key], equal_nan=True
        ):
            name = _name(transform)
            raise ValueError(
                f'{name} in train_pipeline moved the {key} of the person and not those '
                'of the siblings. If it does the same to every row of '
                f"results['keypoints'], name it: train_dataloader.dataset.movers="
                f"['{name}']. Else take it out, or set num_instances=1"
            )
    return results


def _move_everybody(transform: Callable, results: dict) -> Optional[dict]:
    """Give a transform the person and the siblings, a row each."""
    siblings = results['siblings']
    own = {key: results[key] for key in ROWS if key in results}
    if 'transformed_keypoints' in own and isinstance(transform, MOVERS):
        raise ValueError(
            f'{_name(transform)} stands after the crop in train_pipeline, where it '
            'moves the image but not the targets: put it before TopdownAffine'
        )
    for key, row in own.items():
        results[key] = np.concatenate([row, siblings[key].astype(row.dtype)])
    num_rows = len(results['keypoints'])
    results = transform(results)
    if results is None:
        return None
    for key, rows in {k: results[k] for k in ROWS if k in results}.items():
        if len(rows) != num_rows:
            raise ValueError(
                f'{_name(transform)} in train_pipeline got {num_rows} persons and '
                f'returns {len(rows)} rows of {key}: take it out of '
                'train_dataloader.dataset.movers'
            )
        results[key], siblings = rows[:1], dict(siblings, **{key: rows[1:]})
    results['siblings'] = siblings
    return results


def _name(transform: Callable) -> str:
    return getattr(transform, '__name__', type(transform).__name__)
