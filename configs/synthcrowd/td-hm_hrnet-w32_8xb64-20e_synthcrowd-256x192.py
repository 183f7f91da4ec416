_base_ = [
    'mmpose::body_2d_keypoint/topdown_heatmap/coco/td-hm_hrnet-w32_8xb64-210e_coco-256x192.py'
]
# a stock model; the import lets it run where mmcv has no compiled ops
custom_imports = dict(imports=['mipnet_mmpose'])

# runtime
train_cfg = dict(max_epochs=20, val_interval=20)

# learning policy
param_scheduler = [
    dict(type='LinearLR', begin=0, end=200, start_factor=0.001, by_epoch=False),
    dict(type='CosineAnnealingLR', end=20, eta_min=5e-6, convert_to_iter_based=True),
]

# model settings
model = dict(backbone=dict(init_cfg=None))

# base dataset settings
data_root = 'data/synthcrowd/'

# data loaders
train_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='train/annotations.json',
        data_prefix=dict(img='train/images/'),
    )
)
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='val/annotations.json',
        bbox_file=None,
        data_prefix=dict(img='val/images/'),
    )
)
test_dataloader = val_dataloader

# evaluators
val_evaluator = dict(ann_file=data_root + 'val/annotations.json')
test_evaluator = val_evaluator
