"""Numbers of keypoints that differ are all named, with the keys they stand in."""

import copy
import json

import pytest
from mmengine.config import Config
from mmengine.logging import MessageHub
from mmengine.runner import Runner
from mmpose.registry import DATASETS, METRICS

from mipnet_mmpose.datasets.num_keypoints import check_num_keypoints
from mipnet_mmpose.mipnetify import mipnetify

from ..conftest import (
    REPO,
    coco_dataset_config,
    estimator_config,
    person,
    train_pipeline,
    val_pipeline,
)

SMALL = REPO / 'configs' / 'synthcrowd' / 'td-hm_res18-small_8e_synthcrowd-128x96.py'


def metainfo(num):
    """Of ``num`` keypoints, which a flip leaves where they are."""
    points = {
        i: dict(name=f'p{i}', id=i, color=[0, 255, 0], type='upper', swap='')
        for i in range(num)
    }
    return dict(
        dataset_name='points',
        paper_info={},
        keypoint_info=points,
        skeleton_info={},
        joint_weights=[1.0] * num,
        sigmas=[0.05] * num,
    )


def config(coco_folder, model, annotated, described):
    one = person(1, 1, 20, 10, 60, 90, num_keypoints=annotated)
    one['keypoints'] = one['keypoints'][: 3 * annotated]
    folder = coco_folder([one, dict(one, id=2)])
    cfg = Config.fromfile(SMALL)
    cfg.model.head.out_channels = model
    dataset = coco_dataset_config(folder, train_pipeline())
    dataset.update(metainfo=metainfo(described))
    cfg.train_dataloader.dataset = dataset
    cfg.val_dataloader = cfg.test_dataloader = None
    cfg.val_evaluator = cfg.test_evaluator = cfg.val_cfg = cfg.test_cfg = None
    return cfg


@pytest.mark.parametrize(
    'numbers', [(17, 5, 5), (5, 17, 17), (5, 5, 17), (17, 17, 5), (5, 17, 5)]
)
def test_mipnetify_names_all_three(coco_folder, numbers):
    model, annotated, described = numbers
    cfg = config(coco_folder, *numbers)
    with pytest.raises(
        ValueError,
        match=rf'{model} in model.head.out_channels, {described} in train_dataloader.'
        rf'dataset.metainfo .*, {annotated} in train_dataloader.dataset.ann_file '
        r'\(.*annotations.json\)',
    ):
        mipnetify(cfg)


def test_metrics_are_told_of_no_file(coco_folder):
    """A dataset in test mode names its file to every metric of the process."""
    cfg = config(coco_folder, 17, 17, 17)
    cfg.train_dataloader.dataset.update(test_mode=True, bbox_file='boxes.json')
    check_num_keypoints(cfg)
    assert MessageHub.get_current_instance().get_info('points_ann_file') is None


@pytest.mark.parametrize('num', [5, 17])
def test_numbers_that_agree_pass(coco_folder, num):
    cfg = config(coco_folder, num, num, num)
    check_num_keypoints(cfg)
    mipnet = mipnetify(cfg)
    check_num_keypoints(mipnet)
    # MMPose's own: 19 keypoints are learnt, 17 of them are tested
    both = copy.deepcopy(cfg)
    both.test_dataloader = copy.deepcopy(cfg.train_dataloader)
    both.test_dataloader.dataset.metainfo = metainfo(3)
    both.test_dataloader.dataset.ann_file = 'nowhere.json'
    with pytest.raises(ValueError, match='3 in test_dataloader.*, not read in'):
        check_num_keypoints(both)
    both.model.test_cfg.output_keypoint_indices = [0, 2, 4]
    check_num_keypoints(both)
    # the offsets of UDP are channels too
    combined = copy.deepcopy(cfg)
    combined.model.head.out_channels = 3 * num
    combined.model.head.decoder = dict(type='UDPHeatmap', heatmap_type='combined')
    check_num_keypoints(combined)


@pytest.mark.parametrize('phase', ['train', 'test'])
def test_a_model_of_other_keypoints_than_the_data(coco_folder, tmp_path, phase):
    """Without mipnetify: a shape error or an assertion without text came of it."""
    folder = coco_folder([person(1, 1, 20, 10, 60, 90), person(2, 1, 25, 10, 60, 90)])
    model = estimator_config(flip_test=True, flip_mode='heatmap')
    model['head']['head']['out_channels'] = 5
    train = coco_dataset_config(folder, train_pipeline())
    loader = dict(batch_size=2, num_workers=0, sampler=dict(type='DefaultSampler'))
    cfg = dict(model=model, work_dir=str(tmp_path), default_scope='mmpose')
    if phase == 'train':
        wrapped = dict(type='MultiInstanceDataset', dataset=train)
        cfg.update(
            train_dataloader=dict(loader, dataset=wrapped),
            train_cfg=dict(by_epoch=True, max_epochs=1),
            optim_wrapper=dict(optimizer=dict(type='SGD', lr=0.1)),
        )
    else:
        test = coco_dataset_config(folder, val_pipeline(), test_mode=True)
        file = str(folder / 'annotations.json')
        cfg.update(
            test_dataloader=dict(loader, dataset=test),
            test_evaluator=dict(type='MultiInstanceCocoMetric', ann_file=file),
            test_cfg={},
        )
    runner = Runner.from_cfg(Config(cfg))
    with pytest.raises(
        ValueError,
        match=r'gives 5 keypoints \(model.head.head.out_channels\), '
        f'{phase}_dataloader.dataset has 17',
    ):
        getattr(runner, phase)()


def test_a_metric_names_all_three(coco_folder):
    folder = coco_folder([person(1, 1, 20, 10, 60, 90)])
    dataset = DATASETS.build(
        coco_dataset_config(folder, val_pipeline(), test_mode=True)
    )
    metric = METRICS.build(
        dict(type='MultiInstanceCocoMetric', ann_file=str(folder / 'annotations.json'))
    )
    metric.dataset_meta = dataset.metainfo
    sample = dataset[0]['data_samples']
    keypoints = sample.gt_instances.keypoints[:, :5].repeat(2, axis=0)
    poses = dict(keypoints=keypoints, keypoint_scores=keypoints[..., 0] + 1)
    sample = dict(sample.to_dict(), pred_instances=poses)
    with pytest.raises(ValueError, match='gives 5 .* has 17, the annotations 17'):
        metric.process({}, [sample])
    content = json.loads((folder / 'annotations.json').read_text())
    content['annotations'][0]['keypoints'] = [9, 9, 2] * 5
    (folder / 'annotations.json').write_text(json.dumps(content))
    metric = METRICS.build(
        dict(type='MultiInstanceCocoMetric', ann_file=str(folder / 'annotations.json'))
    )
    with pytest.raises(
        ValueError, match='have 5 keypoints, but the metainfo .* has 17'
    ):
        metric.dataset_meta = dataset.metainfo
