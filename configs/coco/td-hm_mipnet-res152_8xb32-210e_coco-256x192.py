_base_ = [
    'mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_res152_8xb32-210e_coco-256x192.py',
    '../_base_/mipnet.py',
]

# hooks
custom_hooks = [*_base_.custom_hooks, dict(type='MIPNetCheckHook')]

# optimizer
optim_wrapper = dict(optimizer=dict(lr=1e-3))

# model settings
model = dict(
    backbone=dict(_delete_=True, backbone=_base_.model.backbone, **_base_.mimb_resnet),
    head=dict(_delete_=True, head=_base_.model.head, **_base_.mipnet_head),
)

# pipelines
train_pipeline = [
    *_base_.train_pipeline[:4],
    _base_.random_bbox_transform,
    *_base_.train_pipeline[5:],
]

# data loaders
train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        dataset=dict(_base_.train_dataloader.dataset, pipeline=[]),
        pipeline=train_pipeline,
        **_base_.mipnet_dataset,
    )
)

# evaluators
val_evaluator = _base_.mipnet_metric
test_evaluator = val_evaluator
