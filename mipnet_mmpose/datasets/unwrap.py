"""What is inside the config of a dataset that wraps others.

Wrappers are ``MultiInstanceDataset``, ``CombinedDataset`` and those of MMEngine
(``RepeatDataset``, ``ConcatDataset``, ``ClassBalancedDataset``), nested in any way.
What wraps has ``dataset`` or ``datasets``; what has neither is a stock dataset.
"""

from typing import Any, Iterator, List, Tuple

from mmengine.config import Config


def walk_dataset_configs(dataset: dict, key: str) -> Iterator[Tuple[str, dict]]:
    """The config of a dataset and those inside it, the outer ones first.

    Args:
        dataset (dict): Config of a dataset.
        key (str): Its config key, such as ``'test_dataloader.dataset'``.

    Yields:
        tuple[str, dict]: config key and config.
    """
    yield key, dataset
    for inner_key, inner in _inside(dataset, key):
        yield from walk_dataset_configs(inner, inner_key)


def stock_dataset_configs(dataset: dict, key: str) -> Iterator[Tuple[str, dict]]:
    """As :func:`walk_dataset_configs`, without what wraps."""
    for inner_key, inner in walk_dataset_configs(dataset, key):
        if not is_wrapper(inner):
            yield inner_key, inner


def is_wrapper(dataset: dict) -> bool:
    """Whether the config of a dataset has others inside."""
    return 'dataset' in dataset or 'datasets' in dataset


def find_pipeline(cfg: Config, loader: str = 'test_dataloader') -> List[dict]:
    """The pipeline that an image of the user goes through.

    A sample goes through the pipeline of its stock dataset, then through those of the
    wrappers around it. So does the image, but for ``KeypointConverter``: it has no
    annotated keypoints.

    Args:
        cfg (Config): A whole config.
        loader (str): Its loader. Defaults to ``'test_dataloader'``.

    Returns:
        list[dict]: configs of transforms.

    Raises:
        ValueError: where there is no pipeline, or datasets side by side have
            different ones.
    """
    key = f'{loader}.dataset'
    dataset = (cfg.get(loader) or {}).get('dataset')
    if not dataset:
        raise ValueError(f'the config has no {key}, so no pipeline for an image')
    pipeline = _joined_pipeline(dataset, key)
    if not pipeline:
        raise ValueError(f'{key} has no pipeline for an image')
    return pipeline


def dataset_with_metainfo(dataset: dict) -> dict:
    """The dataset whose keypoints a wrapper says are its own.

    A wrapper with ``metainfo`` says them itself (``CombinedDataset``), another one
    takes those of its first dataset.

    Args:
        dataset (dict): Config of a dataset.

    Returns:
        dict: config that has ``metainfo``, or a ``type`` with ``METAINFO``.
    """
    while is_wrapper(dataset) and 'metainfo' not in dataset:
        _, dataset = next(_inside(dataset, ''))
    return dataset


def _inside(dataset: dict, key: str) -> Iterator[Tuple[str, dict]]:
    if 'dataset' in dataset:
        yield f'{key}.dataset', dataset['dataset']
    for i, inner in enumerate(dataset.get('datasets') or ()):
        yield f'{key}.datasets.{i}', inner


def _joined_pipeline(dataset: dict, key: str) -> List[dict]:
    pipeline: List[dict] = []
    first = None
    for inner_key, inner in _inside(dataset, key):
        found = _joined_pipeline(inner, inner_key)
        if first is not None and found != pipeline:
            raise ValueError(
                f'{first}.pipeline and {inner_key}.pipeline differ: it is unknown '
                f'which of them an image goes through. Give them the same, or test '
                'with one of the datasets'
            )
        first, pipeline = first or inner_key, found
    own = dataset.get('pipeline') or []
    return pipeline + [step for step in own if _name(step) != 'KeypointConverter']


def _name(step: Any) -> str:
    """Type of a transform without its scope."""
    kind = step['type']
    return kind.__name__ if isinstance(kind, type) else kind.split('.')[-1]
