"""Annotation files that name images they have no business with."""

import json

import pytest
from mmengine.config import Config
from mmpose.registry import DATASETS

from mipnet_mmpose.datasets.image_paths import paths_outside

from ..conftest import coco_dataset_config, load_tool, person, train_pipeline


def rename(folder, name):
    content = json.loads((folder / 'annotations.json').read_text())
    content['images'][0]['file_name'] = name
    (folder / 'annotations.json').write_text(json.dumps(content))


@pytest.fixture
def folder(coco_folder):
    return coco_folder([person(1, 1, 10, 10, 60, 80), person(2, 1, 30, 12, 60, 80)])


@pytest.mark.parametrize(
    'name, outside',
    [
        ('000001.png', False),
        ('sub/../000001.png', False),
        ('../secret.png', True),
        ('/etc/passwd', True),
    ],
)
@pytest.mark.parametrize('wrapped', [True, False])
def test_images_outside_of_the_data_are_found(folder, name, outside, wrapped):
    rename(folder, name)
    config = coco_dataset_config(folder, train_pipeline())
    if wrapped:
        config = dict(type='MultiInstanceDataset', dataset=config)
    found = paths_outside(DATASETS.build(config))
    assert len(found) == outside and all(path.endswith(name) for path in found)


def test_a_folder_beside_that_begins_alike_is_outside(folder):
    rename(folder, f'../{folder.name}-2/000001.png')
    assert paths_outside(DATASETS.build(coco_dataset_config(folder, train_pipeline())))


def test_check_data_refuses_them(folder, capsys):
    rename(folder, '../../secret.png')
    dataset = coco_dataset_config(folder, train_pipeline())
    wrapped = dict(type='MultiInstanceDataset', dataset=dataset)
    Config(dict(train_dataloader=dict(dataset=wrapped))).dump(folder / 'config.py')
    with pytest.raises(SystemExit, match='1 problem'):
        load_tool('check_data').main([str(folder / 'config.py')])
    assert 'outside of data_root and data_prefix' in capsys.readouterr().out
