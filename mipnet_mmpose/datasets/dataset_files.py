"""Check the files of a dataset before it reads them."""

from typing import Iterator, Tuple

from mmengine.dataset import BaseDataset
from mmpose.datasets import CocoDataset
from mmpose.datasets.datasets.base import BaseCocoStyleDataset
from mmpose.registry import DATASETS

from .annotation_file import (
    check_annotations,
    check_ground_truth,
    check_persons,
)
from .detection_file import check_detections
from .json_file import load_json
from .unwrap import stock_dataset_configs


def check_dataset_files(dataset: BaseDataset, key: str) -> None:
    """Check the annotation file and the ``bbox_file`` of a stock dataset.

    Only what MMPose's base class reads is looked at: a dataset that reads another
    format by its own code is passed over.

    Args:
        dataset (BaseDataset): Not a wrapper; it may be built with ``lazy_init``.
        key (str): Its config key, for the message.

    Raises:
        ValueError: naming file, id and key, where the dataset cannot be right.
    """
    if not _reads(dataset, '_load_annotations'):
        return
    content = load_json(dataset.ann_file)
    check_annotations(content, dataset.ann_file)
    if dataset.bbox_file:
        if _reads(dataset, '_load_detection_results'):
            _check_bbox_file(dataset, content)
    elif _reads(dataset, 'parse_data_info'):
        num_keypoints = dataset.metainfo['num_keypoints']
        check_persons(content, dataset.ann_file, num_keypoints, key)


def check_as_ground_truth(dataset: BaseDataset) -> None:
    """Check that ``CocoMetric`` could evaluate what a ``CocoDataset`` reads.

    A file without annotations is for ``format_only`` and passes.

    Raises:
        ValueError: as :func:`check_ground_truth`.
    """
    if type(dataset) is CocoDataset and len(dataset.metainfo['sigmas']):
        content = load_json(dataset.ann_file)
        if content.get('annotations'):
            fields = dict(keypoints=dataset.metainfo['num_keypoints'])
            check_ground_truth(content, dataset.ann_file, fields)


def _check_bbox_file(dataset: BaseCocoStyleDataset, content: dict) -> None:
    """Detections become samples of category 1, whatever the annotations have."""
    categories = content.get('categories')
    if not isinstance(categories, list):
        raise ValueError(f'{dataset.ann_file}: bbox_file is read with its categories')
    if content.get('annotations') and all(c.get('id') != 1 for c in categories):
        raise ValueError(
            f'{dataset.ann_file}: categories has id {categories[0].get("id")!r}, but '
            'the boxes of a bbox_file are all of category 1: nobody would be found. '
            'Give the persons category 1 in both files'
        )
    image_ids = {image['id'] for image in content['images']}
    check_detections(load_json(dataset.bbox_file), dataset.bbox_file, image_ids)


def check_config_files(dataset: dict, key: str) -> None:
    """:func:`check_dataset_files` for the stock datasets in a config."""
    for inner_key, stock in _coco_datasets(dataset, key):
        check_dataset_files(stock, inner_key)


def name_unreadable(dataset: dict, key: str) -> None:
    """Find the annotation that the code of a dataset in a config cannot read.

    Raises:
        ValueError: naming file, id and what the dataset raised.
    """
    for _, stock in _coco_datasets(dataset, key):
        if _reads(stock, '_load_annotations') and not stock.bbox_file:
            _parse_each(stock)


def _parse_each(dataset: BaseCocoStyleDataset) -> None:
    content = load_json(dataset.ann_file)
    images = {image['id']: image for image in content['images']}
    for image in images.values():
        image.update(img_id=image['id'], img_path=image.get('file_name'))
    for annotation in content.get('annotations', ()):
        annotation.setdefault('iscrowd', False)  # as xtcocotools does
        image = images.get(annotation['image_id'])
        if image is None:
            continue
        try:
            raw = dict(raw_ann_info=annotation, raw_img_info=image)
            dataset.parse_data_info(raw)
        except Exception as error:  # whatever that code raises
            raise ValueError(
                f'{dataset.ann_file}: {type(dataset).__name__} cannot read the '
                f'annotation with id {annotation["id"]!r}: '
                f'{type(error).__name__}: {error}'
            ) from error


def _coco_datasets(
    dataset: dict, key: str
) -> Iterator[Tuple[str, BaseCocoStyleDataset]]:
    """The stock datasets of a config that read COCO's format, files unread."""
    for inner_key, cfg in stock_dataset_configs(dataset, key):
        kind = cfg.get('type')
        kind = kind if isinstance(kind, type) else DATASETS.get(kind or '')
        if kind is not None and issubclass(kind, BaseCocoStyleDataset):
            yield inner_key, DATASETS.build(dict(cfg, pipeline=[], lazy_init=True))


def _reads(dataset: BaseDataset, method: str) -> bool:
    """Whether a dataset reads by the method of MMPose's base class."""
    stock = getattr(BaseCocoStyleDataset, method)
    return getattr(type(dataset), method, None) is stock
