"""What is found inside the configs of wrapped datasets."""

from mipnet_mmpose.datasets.unwrap import dataset_with_metainfo, stock_dataset_configs


def test_stock_datasets_come_with_their_config_keys():
    a, b = dict(type='CocoDataset', data_root='a'), dict(type='Halpe', data_root='b')
    inner = [dict(type='RepeatDataset', dataset=a)]
    inner += [dict(type='MultiInstanceDataset', dataset=b)]
    combined = dict(type='CombinedDataset', metainfo=dict(), datasets=inner)
    assert dict(stock_dataset_configs(combined, 'train_dataloader.dataset')) == {
        'train_dataloader.dataset.datasets.0.dataset': a,
        'train_dataloader.dataset.datasets.1.dataset': b,
    }
    assert (
        dataset_with_metainfo(dict(type='RepeatDataset', dataset=combined)) is combined
    )
    assert dataset_with_metainfo(inner[0]) is a
