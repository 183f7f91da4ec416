import numpy as np
from mmpose.datasets.transforms import GenerateTarget, PackPoseInputs
from mmpose.registry import TRANSFORMS

from ..siblings import is_labelled


@TRANSFORMS.register_module()
class GenerateMultiInstanceTarget(GenerateTarget):
    """Encode the person of the box and its siblings, N targets per sample.

    Takes the place of ``GenerateTarget``. A sibling with fewer than
    ``min_keypoints`` labelled keypoints inside the crop is dropped; each
    person is encoded with the stock codec. Target i is person i where there
    is one, else person 0 (MIPNet, ICCV 2021, Sec. 3.3).

    Required keys: those of ``GenerateTarget`` after ``TopdownAffine``, and
    ``siblings`` from :class:`SiblingPipeline`.

    Added keys: those of ``GenerateTarget`` with the N persons' targets one
    after the other along the first axis, and ``target_instances`` (1, N):
    which person each target is of.

    Args:
        encoder (dict | list[dict]): As for ``GenerateTarget``.
        num_instances (int): Targets N per sample. Defaults to 2.
        min_keypoints (int): Defaults to 4.
        **kwargs: As for ``GenerateTarget``.

    Raises:
        ValueError: where the dataset is not wrapped, or ``TopdownAffine`` is missing.
    """

    def __init__(
        self, encoder, num_instances: int = 2, min_keypoints: int = 4, **kwargs
    ):
        super().__init__(encoder, **kwargs)
        self.num_instances = num_instances
        self.min_keypoints = min_keypoints

    def transform(self, results: dict) -> dict:
        """Encode N persons, see the class."""

        def table(name: str) -> dict[str, str]:
            return results.get(name, getattr(PackPoseInputs, name))

        # what another generator before this one has encoded is of N persons already
        encoded = {*table('label_mapping_table'), *table('field_mapping_table')}
        person = {key: results[key] for key in results if key not in encoded}
        persons = [
            super(GenerateMultiInstanceTarget, self).transform(dict(person, **rows))
            for rows in [{}, *self._siblings_in_crop(results)]
        ]
        order = [i if i < len(persons) else 0 for i in range(self.num_instances)]
        targets = [persons[i] for i in order]
        results.update(persons[0])
        for name in ('label_mapping_table', 'field_mapping_table'):
            for key in set(table(name)) & set(persons[0]):
                by_level = name == 'field_mapping_table'
                results[key] = _concat([target[key] for target in targets], by_level)
        results['target_instances'] = np.array([order])
        results['instance_mapping_table'] = dict(
            table('instance_mapping_table'), target_instances='target_instances'
        )
        return results

    def _siblings_in_crop(self, results: dict) -> list[dict]:
        """What of the siblings takes the place of the person's own."""
        if self.num_instances == 1:
            return []
        siblings = results.get('siblings', {})
        if 'transformed_keypoints' not in siblings:
            raise ValueError(
                'GenerateMultiInstanceTarget needs TopdownAffine before it in '
                'train_pipeline, and MultiInstanceDataset around the dataset'
            )
        keypoints = siblings['transformed_keypoints']
        visible = siblings['keypoints_visible']
        seen = count_in_crop(keypoints, visible, results['input_size'])
        chosen = np.flatnonzero(seen >= self.min_keypoints)[: self.num_instances - 1]
        return [
            dict(transformed_keypoints=keypoints[[i]], keypoints_visible=visible[[i]])
            for i in chosen
        ]


def count_in_crop(
    keypoints: np.ndarray, visible: np.ndarray, input_size: tuple[int, int]
) -> np.ndarray:
    """Labelled keypoints of each person (S,) inside the crop of a width and height.

    Keypoints (S, K, 2) are in pixels of the crop, visible is (S, K) or (S, K, 2).
    """
    inside = ((keypoints >= 0) & (keypoints < input_size)).all(axis=2)
    return (inside & is_labelled(visible)).sum(axis=1)


def _concat(parts: list, by_level: bool) -> np.ndarray:
    """Join N persons' targets along the first axis, a list of them by level."""
    if not isinstance(parts[0], list):
        return np.concatenate(parts)
    if by_level:
        return [np.concatenate(level) for level in zip(*parts)]
    return [array for part in parts for array in part]
