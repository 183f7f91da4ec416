# The network behind `mipnet demo`: PP-TinyPose with MIMBs. The stock layers stay as
# they are, so λ = 0 is PP-TinyPose's answer.
#     load_from: the weights of td-hm_tinypose_coco-256x192.py
_base_ = ['./td-hm_tinypose_coco-256x192.py']
custom_imports = dict(imports=['mipnet_mmpose'])

num_instances = 2
load_from = 'tinypose_256x192.pth'

# hooks
custom_hooks = [
    dict(type='MIPNetCheckHook'),
    dict(type='FreezeStockHook'),
    dict(type='EMAHook', ema_type='MomentumAnnealingEMA', momentum=1e-3),
]

# optimizer
optim_wrapper = dict(optimizer=dict(lr=3e-3))

# model settings: before each module and each of its units, and around the head layer
modules = [(f'stage1.{i}', 3) for i in range(4)] + [
    (f'stage2.{i}', 4) for i in range(2)
]
places = [
    *[name for name, _ in modules],
    *[
        f'{name}.layers.{branch}.{unit}'
        for name, branches in modules
        for branch in range(branches)
        for unit in range(2)
    ],
    'head_layer',
]
model = dict(
    backbone=dict(
        _delete_=True,
        type='MIMBBackbone',
        backbone=_base_.model.backbone,
        insert=[
            *[dict(module=name, position='before') for name in places],
            dict(module='head_layer', position='after'),
        ],
        num_instances=num_instances,
        init='identity',
        bypass_primary=True,
    ),
    head=dict(
        _delete_=True,
        type='MIPNetHead',
        head=_base_.model.head,
        presence=dict(),
        instance_rule='unanswered',
    ),
)

# data loaders
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='MultiInstanceDataset',
        dataset=dict(_base_.train_dataloader.dataset, pipeline=[]),
        pipeline=_base_.train_dataloader.dataset.pipeline,
        num_instances=num_instances,
        paste_people=dict(prob=0.9),
    )
)

# evaluators
val_evaluator = dict(
    _delete_=True,
    type='MultiInstanceCocoMetric',
    ann_file=_base_.val_evaluator.ann_file,
    nms_thr=0.7,  # the best of 0.6 to 0.9 on pasted pairs held out; AP else is the same
)
test_evaluator = val_evaluator
