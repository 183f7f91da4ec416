_base_ = ['./td-hm_mipnet-res18-small_8e_synthcrowd-128x96.py']

# the stock backbone, MIMB behind it
model = dict(
    backbone=dict(_delete_=True, **_base_.model.backbone.backbone),
    neck=dict(
        type='MIMBNeck',
        in_channels=256,
        num_instances=_base_.num_instances,
        init='identity',
    ),
)
