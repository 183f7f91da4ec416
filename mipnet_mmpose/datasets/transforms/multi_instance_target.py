from typing import Dict, List, Tuple

import cv2
import numpy as np
from mmpose.datasets.transforms import GenerateTarget, PackPoseInputs
from mmpose.registry import TRANSFORMS
from mmpose.structures.bbox import get_udp_warp_matrix, get_warp_matrix
from mmpose.structures.keypoint import flip_keypoints

# MMPose 1.1 packs by this table alone, its successors also by that of a sample
PackPoseInputs.instance_mapping_table['target_instances'] = 'target_instances'


@TRANSFORMS.register_module()
class GenerateMultiInstanceTarget(GenerateTarget):
    """Encode the person of the box and its siblings, N targets per sample.

    Takes the place of ``GenerateTarget``. The recorded flip and crop are
    repeated on the siblings' keypoints; a sibling with fewer than
    ``min_keypoints`` labelled keypoints inside the crop is dropped; each
    person is encoded with the stock codec. Target i is person i where there
    is one, else person 0 (MIPNet, ICCV 2021, Sec. 3.3).

    Required keys: those of ``GenerateTarget`` after ``TopdownAffine``, and
    ``siblings`` = (keypoints (S, K, 2), visibility (S, K)) in pixels of the
    image, nearest first, from :class:`MultiInstanceDataset`.

    Added keys: those of ``GenerateTarget`` with the N persons' targets one
    after the other along the first axis, and ``target_instances`` (1, N):
    which person each target is of.

    Args:
        encoder (dict | list[dict]): As for ``GenerateTarget``.
        num_instances (int): Targets N per sample. Defaults to 2.
        min_keypoints (int): Defaults to 4.
        **kwargs: As for ``GenerateTarget``.

    Raises:
        ValueError: where the pipeline moves the keypoints in a way that is not
            recorded, so that it cannot be repeated on the siblings.
    """

    def __init__(
        self, encoder, num_instances: int = 2, min_keypoints: int = 4, **kwargs
    ):
        super().__init__(encoder, **kwargs)
        self.num_instances = num_instances
        self.min_keypoints = min_keypoints

    def transform(self, results: Dict) -> Dict:
        """Encode N persons, see the class."""
        persons = [
            super(GenerateMultiInstanceTarget, self).transform(dict(person))
            for person in [results, *self._siblings_in_crop(results)]
        ]
        target_instances = [
            i if i < len(persons) else 0 for i in range(self.num_instances)
        ]
        results, targets = persons[0], [persons[i] for i in target_instances]

        def table(name: str) -> Dict[str, str]:
            return results.get(name, getattr(PackPoseInputs, name))

        for key in table('label_mapping_table'):
            if key in results:
                results[key] = _concat([target[key] for target in targets])
        for key in table('field_mapping_table'):
            if key in results:
                results[key] = _concat([target[key] for target in targets], True)
        results['target_instances'] = np.array([target_instances])
        results['instance_mapping_table'] = dict(
            table('instance_mapping_table'), target_instances='target_instances'
        )
        return results

    def _siblings_in_crop(self, results: Dict) -> List[Dict]:
        """The siblings as ``GenerateTarget`` would see each as its person."""
        if self.num_instances == 1:
            return []
        if 'siblings' not in results:
            raise ValueError(
                'GenerateMultiInstanceTarget got a sample without siblings: wrap the '
                "dataset, dataset=dict(type='MultiInstanceDataset', dataset=...)"
            )
        keypoints, visible = results.pop('siblings')
        if len(keypoints) == 0:
            return []
        if results.get('flip', False):
            height, width = results['img_shape']
            keypoints, visible = flip_keypoints(
                keypoints,
                visible,
                image_size=(width, height),
                flip_indices=results['flip_indices'],
                direction=results['flip_direction'],
            )
        crop = _recorded_crop(results)
        keypoints = cv2.transform(keypoints, crop)
        seen = count_in_crop(keypoints, visible, results['input_size'])
        persons = []
        for i in np.flatnonzero(seen >= self.min_keypoints)[: self.num_instances - 1]:
            persons.append(
                dict(
                    results,
                    transformed_keypoints=keypoints[i : i + 1],
                    keypoints_visible=visible[i : i + 1],
                )
            )
        return persons

    def __repr__(self) -> str:
        return super().__repr__()[:-1] + (
            f', num_instances={self.num_instances}, min_keypoints={self.min_keypoints})'
        )


def count_in_crop(
    keypoints: np.ndarray, visible: np.ndarray, input_size: Tuple[int, int]
) -> np.ndarray:
    """Labelled keypoints of each person that lie inside the crop.

    Args:
        keypoints (np.ndarray): in pixels of the crop, (S, K, 2).
        visible (np.ndarray): as for :class:`SiblingIndex`, (S, K) or (S, K, 2).
        input_size (tuple[int, int]): width and height of the crop.

    Returns:
        np.ndarray: numbers, (S,).
    """
    inside = ((keypoints >= 0) & (keypoints < input_size)).all(axis=2)
    labelled = visible if visible.ndim == 2 else visible[..., 0]
    return (inside & (labelled > 0)).sum(axis=1)


def _recorded_crop(results: Dict) -> np.ndarray:
    """The (2, 3) matrix that ``TopdownAffine`` applied, with or without UDP."""
    if 'transformed_keypoints' not in results:
        raise ValueError(
            'GenerateMultiInstanceTarget needs TopdownAffine before it in the pipeline'
        )
    arguments = (
        results['input_center'],
        results['input_scale'],
        float(np.ravel(results.get('bbox_rotation', 0.0))[0]),
    )
    source = results['keypoints'][..., :2]
    placed = results['transformed_keypoints'][..., :2]
    for warp_matrix in (get_warp_matrix, get_udp_warp_matrix):
        crop = warp_matrix(*arguments, output_size=results['input_size'])
        again = cv2.transform(source, crop)  # as TopdownAffine does it
        if np.allclose(again, placed, atol=1e-2, equal_nan=True):
            return crop
    raise ValueError(
        'the pipeline moves the keypoints in another way than RandomFlip and '
        'TopdownAffine record, so it cannot be repeated on the siblings: take the '
        'other geometric transforms out of train_pipeline'
    )


def _concat(parts: List, levels: bool = False) -> np.ndarray:
    """Join N persons' targets along the first axis, a list of them by level."""
    if not isinstance(parts[0], list):
        return np.concatenate(parts)
    if levels:
        return [np.concatenate(level) for level in zip(*parts)]
    return [array for part in parts for array in part]
