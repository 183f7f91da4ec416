# OCHuman-Pose: OCHuman's images with over 50 % more people labelled, in COCO format.
# OCHuman counts the right pose of somebody who is not labelled as false. Put its two
# annotation files beside those of OCHuman under these names, or set `ann_file`.
_base_ = ['./ochuman.py']

ochuman_val_file = 'annotations/ochuman_pose_val.json'
ochuman_test_file = 'annotations/ochuman_pose_test.json'
ochuman_val = dict(ann_file=ochuman_val_file)
ochuman_test = dict(ann_file=ochuman_test_file)
