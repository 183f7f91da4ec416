_base_ = ['./td-hm_res18-small_8e_synthcrowd-128x96.py']

# codec settings
simcc = dict(type='SimCCLabel', input_size=(96, 128), sigma=3.0, simcc_split_ratio=2.0)
codec = dict(_delete_=True, **simcc)

# model settings
model = dict(
    head=dict(
        _delete_=True,
        type='SimCCHead',
        in_channels=256,
        out_channels=17,
        input_size=simcc['input_size'],
        in_featuremap_size=(3, 4),
        simcc_split_ratio=simcc['simcc_split_ratio'],
        deconv_out_channels=(64, 64, 64),
        loss=dict(type='KLDiscretLoss', use_target_weight=True),
        decoder=simcc,
    ),
    test_cfg=dict(_delete_=True, flip_test=True),
)

# pipelines
train_pipeline = [
    *_base_.train_pipeline[:-2],
    dict(type='GenerateTarget', encoder=simcc),
    dict(type='PackPoseInputs'),
]

# data loaders
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
