# What makes MIPNet of a stock config: the parts, the authors' augmentation and their
# evaluation. A config takes this file as its second base. COCO and CrowdPose are
# tested with MMPose's detected boxes; for ground-truth boxes give tools/test.py
#     --cfg-options test_dataloader.dataset.bbox_file=None
custom_imports = dict(imports=['mipnet_mmpose'])

# instances per box
num_instances = 2

# model settings
mimb_hrnet = dict(
    type='MIMBBackbone',
    insert=[
        dict(module='stage4', position='before'),
        dict(module='stage4', position='after'),
    ],
    num_instances=num_instances,
)
mimb_resnet = dict(
    type='MIMBBackbone',
    insert=[
        dict(module='layer3', position='before'),
        dict(module='layer4', position='before'),
    ],
    num_instances=num_instances,
)
mipnet_head = dict(type='MIPNetHead')

# pipelines
random_bbox_transform = dict(
    type='RandomBBoxTransform',
    shift_prob=0.0,
    # the authors' ranges. They clip a normal (0.35 and 45 degrees, clipped at 90), MMPose
    # truncates one at one sigma: deviations 0.19 for their 0.25, 49 for their 43 degrees
    scale_factor=(0.65, 1.35),
    rotate_factor=90.0,
    rotate_prob=0.6,
)

# base dataset settings
mipnet_dataset = dict(type='MultiInstanceDataset', num_instances=num_instances)

# evaluators
mipnet_metric = dict(type='MultiInstanceCocoMetric')
