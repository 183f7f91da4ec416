_base_ = ['./td-hm_res18-small_8e_synthcrowd-128x96.py']

# codec settings
regression = dict(type='RegressionLabel', input_size=(96, 128))
codec = dict(_delete_=True, **regression)

# model settings
model = dict(
    neck=dict(type='GlobalAveragePooling'),
    head=dict(
        _delete_=True,
        type='RLEHead',
        in_channels=256,
        num_joints=17,
        loss=dict(type='RLELoss', use_target_weight=True),
        decoder=regression,
    ),
    test_cfg=dict(_delete_=True, flip_test=True, shift_coords=True),
)

# pipelines
train_pipeline = [
    *_base_.train_pipeline[:-2],
    dict(type='GenerateTarget', encoder=regression),
    dict(type='PackPoseInputs'),
]

# data loaders
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))

# evaluators
val_evaluator = dict(score_mode='bbox_rle')
test_evaluator = val_evaluator
