_base_ = ['./td-hm_mipnet-hrnet-w32_8xb64-20e_synthcrowd-256x192.py']

# the stock backbone, MIMB behind it
model = dict(
    backbone=dict(_delete_=True, **_base_.model.backbone.backbone),
    neck=dict(
        type='MIMBNeck',
        in_channels=32,
        num_instances=_base_.num_instances,
        init='identity',
    ),
)
