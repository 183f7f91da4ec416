_base_ = ['./td-hm_mipnet-hrnet-w32_8xb64-210e_coco-256x192.py']

# the trained baseline; with every gate at 1, lambda = 0 starts as the baseline
load_from = 'https://download.openmmlab.com/mmpose/v1/body_2d_keypoint/topdown_heatmap/coco/td-hm_hrnet-w32_8xb64-210e_coco-256x192-81c58e40_20220909.pth'

# runtime
train_cfg = dict(max_epochs=20, val_interval=5)

# optimizer; the stock layers are trained already
optim_wrapper = dict(
    optimizer=dict(lr=5e-5),
    paramwise_cfg=dict(custom_keys=dict(mimbs=dict(lr_mult=10))),
)

# learning policy
param_scheduler = [
    dict(type='LinearLR', begin=0, end=500, start_factor=0.001, by_epoch=False),
    dict(type='MultiStepLR', end=20, milestones=[16, 19], gamma=0.1, by_epoch=True),
]

# model settings
model = dict(backbone=dict(backbone=dict(init_cfg=None), init='identity'))

# data loaders
train_dataloader = dict(dataset=dict(paste_people=dict()))  # COCO has few close pairs
