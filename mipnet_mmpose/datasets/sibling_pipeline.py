"""The siblings go through the transforms that the person of a sample goes through."""

from typing import Any, Callable, Dict, Iterator, Optional, Sequence

import numpy as np
from mmengine.dataset import Compose
from mmpose.datasets import transforms as mmpose_transforms
from mmpose.datasets.transforms import (
    Albumentation,
    KeypointConverter,
    RandomFlip,
    TopdownAffine,
)

from .paste_people import PastePeople
from .siblings import SiblingIndex
from .transforms import GenerateMultiInstanceTarget

KNOW_SIBLINGS = (PastePeople, GenerateMultiInstanceTarget)
MOVERS = (KeypointConverter, RandomFlip, TopdownAffine)
# rows are persons, in pixels of the image, labels, in pixels of the crop
ROWS = ('keypoints', 'keypoints_visible', 'transformed_keypoints')
TOLERANCE = 0.01  # pixels


class KeypointsMoved(ValueError):
    """A transform turned out to move keypoints: the sample is to be made again."""


class SiblingPipeline(Compose):
    """A stock pipeline that moves the siblings as it moves the person.

    A transform that moves keypoints is given all persons: the rows of ``keypoints``
    are the person, the siblings, and the person once more. The last row must end where
    the first one does, which shows for each sample that all rows are treated alike.
    Any other transform is given the person alone, as stock MMPose does. Where it
    moves the keypoints after all, the sample is made again with all persons.

    Args:
        transforms (Sequence[dict | Callable]): As for ``Compose``.
        index (SiblingIndex, optional): Of the dataset whose samples start here. A
            wrapper's pipeline has none: its samples bring their siblings along.

    Added key: ``siblings``, a dict with the siblings' rows of ``keypoints`` (S, K, 2),
    ``keypoints_visible`` (S, K) or (S, K, 2) and, after the crop,
    ``transformed_keypoints`` (S, K, 2), nearest box centre first.

    Raises:
        KeypointsMoved: the sample is to be made again.
        ValueError: naming the transform, where siblings cannot be placed.
    """

    def __init__(
        self, transforms: Sequence, index: Optional[SiblingIndex] = None
    ) -> None:
        super().__init__(transforms)
        self.index = index
        self._movers = [t for t in self.transforms if isinstance(t, MOVERS)]
        for transform in self.transforms:
            _check_transform(transform)

    def __call__(self, data: dict) -> Optional[dict]:
        """One sample, or None where a transform drops it."""
        if self.index is not None:
            keypoints, visible = self.index[data['sample_idx']]
            data['siblings'] = dict(keypoints=keypoints, keypoints_visible=visible)
        for transform in self.transforms:
            if 'siblings' not in data or isinstance(transform, KNOW_SIBLINGS):
                data = transform(data)
            elif transform in self._movers:
                data = _move_everybody(transform, data)
            else:
                data = self._leave_in_place(transform, data)
            if data is None:
                return None
        return data

    def _leave_in_place(self, transform: Callable, results: Dict) -> Optional[Dict]:
        """Give a transform the person; siblings stay as long as the person does."""
        before = {key: np.array(results[key]) for key in ROWS if key in results}
        image, siblings = results.get('img'), results['siblings']
        results = transform(results)
        if results is None or 'keypoints' not in results:  # dropped, or packed
            return results
        results.setdefault('siblings', siblings)  # in case it is another dict
        if _moved(before, results):
            self._movers.append(transform)
            raise KeypointsMoved(
                f'{_name(transform)} moves keypoints. The sample has to be made again '
                'with the siblings in it, which MultiInstanceDataset does'
            )
        _check_image(transform, image, results.get('img'))
        return results


def _move_everybody(transform: Callable, results: Dict) -> Optional[Dict]:
    """Give a transform the person, the siblings, and the person once more."""
    siblings = results['siblings']
    own = {key: results[key] for key in ROWS if key in results}
    cropped = 'transformed_keypoints' in own
    if cropped and isinstance(transform, MOVERS):
        raise ValueError(
            f'{_name(transform)} stands after the crop in train_pipeline, where it '
            'moves the image but not the targets: put it before TopdownAffine'
        )
    if isinstance(transform, RandomFlip):
        _check_image_size(results)
    for key, row in own.items():
        results[key] = np.concatenate([row, siblings[key].astype(row.dtype), row])
    num_rows = len(results['keypoints'])
    try:
        results = transform(results)
    except Exception as error:
        if isinstance(transform, MOVERS):
            raise
        raise ValueError(
            f'{_name(transform)} moves keypoints, but cannot move those of several '
            f'persons ({type(error).__name__}: {error}). {_WAY_OUT}'
        ) from error
    if results is None:
        return None
    results['siblings'] = {}
    for key in ROWS:
        if key in results:
            rows = results[key]
            if len(rows) != num_rows or not _alike(rows[0], rows[-1], TOLERANCE):
                raise ValueError(
                    f'{_name(transform)} does not treat all persons alike: the same '
                    f'person given twice has two different {key} after it, so it is '
                    f'unknown where the siblings are. {_WAY_OUT}'
                )
            results[key], results['siblings'][key] = rows[:1], rows[1:-1]
    if (
        cropped
        and _moved(own, results, ['keypoints'])
        and not _moved(own, results, ['transformed_keypoints'])
    ):
        raise ValueError(
            f'{_name(transform)} moves keypoints after the crop, but not '
            'transformed_keypoints, which the targets are made of: put it before '
            'TopdownAffine'
        )
    return results


_WAY_OUT = (
    "Let it do the same to every row of results['keypoints'], or take it out of "
    'train_pipeline'
)


def _name(transform: Callable) -> str:
    return getattr(transform, '__name__', type(transform).__name__)


def _moved(before: Dict, results: Dict, keys: Sequence[str] = ROWS) -> bool:
    """Whether the person's rows are elsewhere, of another shape, or new."""
    for key in keys:
        if key in results:
            old, new = before.get(key), results[key]
            if np.shape(old) != np.shape(new):
                return True
            # what is labelled may change: a transform can hide a part of the person
            if key != 'keypoints_visible' and not _alike(old, new, 0):
                return True
    return False


def _alike(first: np.ndarray, second: np.ndarray, tolerance: float) -> bool:
    if np.array_equal(first, second):  # the fast way
        return True
    return np.allclose(first, second, rtol=0, atol=tolerance, equal_nan=True)


def _check_image(transform: Callable, before: Any, after: Any) -> None:
    """The image must not be resized where the keypoints stay, padding is well."""
    if not (isinstance(before, np.ndarray) and isinstance(after, np.ndarray)):
        return
    if before.shape[:2] != after.shape[:2]:
        height, width = np.minimum(before.shape[:2], after.shape[:2])
        if not np.array_equal(before[:height, :width], after[:height, :width]):
            raise ValueError(
                f'{_name(transform)} changes the size of the image and leaves the '
                'keypoints where they were: take it out of train_pipeline'
            )


def _check_image_size(results: Dict) -> None:
    """``RandomFlip`` mirrors keypoints in the image that ``img_shape`` tells of."""
    image, shape = results.get('img'), results.get('img_shape')
    if isinstance(image, np.ndarray) and shape and tuple(shape) != image.shape[:2]:
        raise ValueError(
            f'RandomFlip got an image of {image.shape[:2]} pixels, img_shape says '
            f'{tuple(shape)}: the transform before it that changes the size of the '
            "image has to set results['img_shape'] too"
        )


def _check_transform(transform: Callable) -> None:
    """Name what could not be seen to go wrong when it runs."""
    # new in MMPose 1.2
    converter = getattr(mmpose_transforms, 'SingleHandConverter', ())
    if isinstance(transform, converter):
        raise ValueError(
            'SingleHandConverter in train_pipeline needs the hand_type of a person, '
            'which is not known of the siblings: take it out, or set num_instances=1'
        )
    if isinstance(transform, Albumentation):
        from albumentations import ImageOnlyTransform, NoOp

        for part in _parts_of(transform.aug):
            name = type(part).__name__
            stays = any(word in name for word in ('Dropout', 'Masking', 'Erasing'))
            if not stays and not isinstance(part, (ImageOnlyTransform, NoOp)):
                raise ValueError(
                    f'Albumentation with {name} in train_pipeline moves the image and '
                    'leaves the keypoints where they were: take it out (MMPose gives '
                    'albumentations the image alone)'
                )


def _parts_of(transform: Any) -> Iterator[Any]:
    """The transforms inside albumentations' ``Compose``, ``OneOf`` and the like."""
    parts = getattr(transform, 'transforms', None)
    if parts is None:
        yield transform
    else:
        for part in parts:
            yield from _parts_of(part)
