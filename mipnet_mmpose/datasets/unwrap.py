"""What is inside the config of a dataset that wraps others.

What wraps has ``dataset`` or ``datasets``; what has neither is a stock dataset.
"""

from collections.abc import Iterator


def walk_dataset_configs(dataset: dict, key: str) -> Iterator[tuple[str, dict]]:
    """The config of a dataset and those inside it, the outer ones first.

    Args:
        dataset (dict): Config of a dataset.
        key (str): Its config key, such as ``'test_dataloader.dataset'``.

    Yields:
        tuple[str, dict]: config key and config.
    """
    yield key, dataset
    if 'dataset' in dataset:
        yield from walk_dataset_configs(dataset['dataset'], f'{key}.dataset')
    for i, inner in enumerate(dataset.get('datasets') or ()):
        yield from walk_dataset_configs(inner, f'{key}.datasets.{i}')


def stock_dataset_configs(dataset: dict, key: str) -> Iterator[tuple[str, dict]]:
    """As :func:`walk_dataset_configs`, without what wraps."""
    for inner_key, inner in walk_dataset_configs(dataset, key):
        if not is_wrapper(inner):
            yield inner_key, inner


def is_wrapper(dataset: dict) -> bool:
    """Whether the config of a dataset has others inside."""
    return 'dataset' in dataset or 'datasets' in dataset


def dataset_with_metainfo(dataset: dict) -> dict:
    """The dataset whose keypoints a wrapper says are its own.

    Its ``metainfo`` (``CombinedDataset``), else that of its first dataset.
    """
    while is_wrapper(dataset) and 'metainfo' not in dataset:
        dataset = dataset.get('dataset') or dataset['datasets'][0]
    return dataset
