# CrowdPose, as MMPose's configs have it, for configs that start from COCO's
crowdpose_keypoints = 14
crowdpose_root = 'data/crowdpose/'
crowdpose_train = dict(
    type='CrowdPoseDataset',
    data_root=crowdpose_root,
    ann_file='annotations/mmpose_crowdpose_trainval.json',
    data_prefix=dict(img='images/'),
)
crowdpose_test = dict(
    type='CrowdPoseDataset',
    data_root=crowdpose_root,
    ann_file='annotations/mmpose_crowdpose_test.json',
    bbox_file='data/crowdpose/annotations/det_for_crowd_test_0.1_0.5.json',
    data_prefix=dict(img='images/'),
)
crowdpose_metric = dict(
    ann_file=crowdpose_root + 'annotations/mmpose_crowdpose_test.json',
    use_area=False,
    iou_type='keypoints_crowd',
    prefix='crowdpose',
)
