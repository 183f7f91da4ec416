_base_ = [
    '../coco/td-hm_mipnet-hrnet-w48_8xb32-210e_coco-384x288.py',
    '../_base_/crowdpose.py',
]

# hooks
default_hooks = dict(checkpoint=dict(save_best='crowdpose/AP'))

# model settings
model = dict(head=dict(head=dict(out_channels=_base_.crowdpose_keypoints)))

# base dataset settings
dataset_type = 'CrowdPoseDataset'
data_root = _base_.crowdpose_root

# data loaders
train_dataloader = dict(dataset=dict(dataset=_base_.crowdpose_train))
val_dataloader = dict(dataset=_base_.crowdpose_test)
test_dataloader = val_dataloader

# evaluators
val_evaluator = _base_.crowdpose_metric
test_evaluator = val_evaluator
