_base_ = [
    'mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_hrnet-w32_8xb64-210e_coco-256x192.py'
]
custom_imports = dict(imports=['mipnet_mmpose'])

# instances per box
num_instances = 2

# model settings
model = dict(
    backbone=dict(
        _delete_=True,
        type='MIMBBackbone',
        backbone=_base_.model.backbone,
        num_instances=num_instances,
    ),
    head=dict(
        _delete_=True,
        type='MIPNetHead',
        num_instances=num_instances,
        head=dict(
            _base_.model.head,
            loss=dict(
                type='MultiInstanceLoss',
                num_instances=num_instances,
                loss=_base_.model.head.loss,
            ),
        ),
    ),
)

# data loaders
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='MultiInstanceDataset',
        num_instances=num_instances,
        dataset=_base_.train_dataloader.dataset,
    )
)

# evaluators
val_evaluator = dict(type='MultiInstanceCocoMetric', num_instances=num_instances)
test_evaluator = val_evaluator
