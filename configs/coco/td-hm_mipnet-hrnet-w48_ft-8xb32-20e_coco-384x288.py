_base_ = ['./td-hm_mipnet-hrnet-w48_8xb32-210e_coco-384x288.py']

# the trained baseline; with every gate at 1, lambda = 0 starts as the baseline
load_from = 'https://download.openmmlab.com/mmpose/v1/body_2d_keypoint/topdown_heatmap/coco/td-hm_hrnet-w48_8xb32-210e_coco-384x288-c161b7de_20220915.pth'

# runtime
train_cfg = dict(max_epochs=20, val_interval=5)

# optimizer
optim_wrapper = dict(optimizer=dict(lr=5e-4))

# learning policy
param_scheduler = [
    dict(type='LinearLR', begin=0, end=500, start_factor=0.001, by_epoch=False),
    dict(type='MultiStepLR', end=20, milestones=[14, 18], gamma=0.1, by_epoch=True),
]

# model settings
model = dict(backbone=dict(backbone=dict(init_cfg=None), init='identity'))

# data loaders
train_dataloader = dict(dataset=dict(paste_people=dict()))  # COCO has few close pairs
