_base_ = ['./td-hm_mipnet-res101_8xb32-210e_coco-384x288.py']

# the trained baseline; with every gate at 1, lambda = 0 starts as the baseline
# (MMPose's table names the 256x192 file here; this is the 384x288 one of its 0.x table)
load_from = 'https://download.openmmlab.com/mmpose/top_down/resnet/res101_coco_384x288-8c71bdc9_20200709.pth'

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
