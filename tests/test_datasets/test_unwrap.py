"""What is found inside wrapped datasets is what the built dataset does."""

import pytest
from mmengine.config import Config
from mmpose.datasets.datasets.utils import parse_pose_metainfo
from mmpose.registry import DATASETS

from mipnet_mmpose.datasets.unwrap import (
    dataset_with_metainfo,
    find_pipeline,
    stock_dataset_configs,
)

from ..conftest import (
    coco_dataset_config,
    needs_array_metainfo,
    person,
    val_pipeline,
)

COCO = dict(from_file='configs/_base_/datasets/coco.py')
CONVERTER = dict(type='KeypointConverter', num_keypoints=17, mapping=[(0, 0)])


def multi_instance(dataset):
    return dict(type='MultiInstanceDataset', dataset=dataset)


def repeat(dataset):
    return dict(type='RepeatDataset', dataset=dataset, times=2)


def balanced(dataset):
    return dict(type='ClassBalancedDataset', dataset=dataset, oversample_thr=0.5)


def concat(*datasets):
    return dict(type='ConcatDataset', datasets=list(datasets))


def combined(*datasets, pipeline=()):
    datasets, pipeline = list(datasets), list(pipeline)
    return dict(
        type='CombinedDataset', metainfo=COCO, datasets=datasets, pipeline=pipeline
    )


def stock(root='data', pipeline=None):
    pipeline = val_pipeline() if pipeline is None else pipeline
    return coco_dataset_config(root, pipeline, test_mode=True)


def config(dataset):
    return Config(dict(test_dataloader=dict(dataset=dataset)))


WRAPPED = {
    'bare': lambda root: stock(root),
    'multi instance': lambda root: multi_instance(stock(root)),
    'repeat': lambda root: repeat(stock(root)),
    'concat': pytest.param(
        lambda root: concat(stock(root), repeat(stock(root))),
        marks=needs_array_metainfo,
    ),
    'combined': lambda root: combined(
        stock(root, [CONVERTER]), stock(root, []), pipeline=val_pipeline()
    ),
    'pipelines of both': lambda root: multi_instance(
        repeat(combined(stock(root, val_pipeline()[:1]), pipeline=val_pipeline()[1:]))
    ),
}


@pytest.mark.parametrize('wrap', WRAPPED.values(), ids=WRAPPED)
def test_pipeline_is_what_a_sample_goes_through(wrap, coco_folder):
    folder = coco_folder([person(1, 1, 20, 10, 60, 90)])
    built = DATASETS.build(wrap(str(folder)))
    built.full_init()
    gone_through = []
    while built is not None:
        transforms = getattr(getattr(built, 'pipeline', None), 'transforms', [])
        gone_through[:0] = [type(t).__name__ for t in transforms]
        if type(built).__name__ == 'MultiInstanceDataset':
            gone_through = []  # it shows the pipeline of what it wraps
        built = getattr(built, 'dataset', None) or getattr(built, 'datasets', [None])[0]
    expected = [name for name in gone_through if name != 'KeypointConverter']
    found = [step['type'] for step in find_pipeline(config(wrap('data')))]
    assert found == expected == [step['type'] for step in val_pipeline()]


def test_class_balanced_dataset_is_looked_into():
    assert find_pipeline(config(balanced(stock()))) == val_pipeline()


def test_different_pipelines_side_by_side_are_refused_by_key():
    cfg = config(multi_instance(concat(stock(), stock(pipeline=val_pipeline()[:2]))))
    key = 'test_dataloader.dataset.dataset.datasets'
    with pytest.raises(ValueError, match=f'{key}.0.pipeline and {key}.1.pipeline'):
        find_pipeline(cfg)


@pytest.mark.parametrize(
    'cfg', [Config({}), Config(dict(test_dataloader=None)), config(stock(pipeline=[]))]
)
def test_config_without_pipeline_is_refused_by_key(cfg):
    with pytest.raises(ValueError, match=r'test_dataloader\.dataset.* no pipeline'):
        find_pipeline(cfg)


def test_stock_datasets_come_with_their_config_keys():
    dataset = combined(repeat(stock('a')), multi_instance(stock('b')))
    found = stock_dataset_configs(dataset, 'train_dataloader.dataset')
    assert {key: part['data_root'] for key, part in found} == {
        'train_dataloader.dataset.datasets.0.dataset': 'a',
        'train_dataloader.dataset.datasets.1.dataset': 'b',
    }


def test_keypoints_are_those_of_the_built_dataset(coco_folder):
    folder = str(coco_folder([person(1, 1, 20, 10, 60, 90)]))
    for dataset in (
        combined(stock(folder, []), pipeline=val_pipeline()),
        repeat(multi_instance(stock(folder))),
    ):
        found = dataset_with_metainfo(dataset)
        found = found.get('metainfo') or DATASETS.get(found['type']).METAINFO
        built = DATASETS.build(dataset).metainfo
        assert parse_pose_metainfo(found)['flip_pairs'] == built['flip_pairs']
