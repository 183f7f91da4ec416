_base_ = ['./td-hm_hrnet-w32_8xb64-20e_synthcrowd-256x192.py']

# instances per box
num_instances = 2

# model settings
model = dict(
    backbone=dict(
        _delete_=True,
        type='MIMBBackbone',
        backbone=_base_.model.backbone,
        num_instances=num_instances,
        init='identity',
    ),
    head=dict(
        _delete_=True,
        type='MIPNetHead',
        num_instances=num_instances,
        head=_base_.model.head,
    ),
)

# data loaders
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='MultiInstanceDataset',
        num_instances=num_instances,
        dataset=dict(_base_.train_dataloader.dataset, pipeline=[]),
        pipeline=_base_.train_dataloader.dataset.pipeline,
    )
)

# evaluators
val_evaluator = dict(type='MultiInstanceCocoMetric')
test_evaluator = val_evaluator
