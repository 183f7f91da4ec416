_base_ = ['./td-hm_res18-small_8e_synthcrowd-128x96.py']

# instances per box
num_instances = 2

# model settings
model = dict(
    backbone=dict(
        _delete_=True,
        type='MIMBBackbone',
        backbone=_base_.model.backbone,
        insert=[
            dict(module='layer3', position='before'),
            dict(module='layer4', position='before'),
        ],
        num_instances=num_instances,
        init='identity',
    ),
    head=dict(_delete_=True, type='MIPNetHead', head=_base_.model.head),
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
