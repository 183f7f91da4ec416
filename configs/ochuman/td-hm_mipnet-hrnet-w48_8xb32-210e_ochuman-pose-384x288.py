_base_ = [
    '../coco/td-hm_mipnet-hrnet-w48_8xb32-210e_coco-384x288.py',
    '../_base_/ochuman_pose.py',
]

# data loaders
val_dataloader = dict(dataset=_base_.ochuman_val)
test_dataloader = dict(dataset=_base_.ochuman_test)

# evaluators
val_evaluator = dict(ann_file=_base_.ochuman_root + _base_.ochuman_val_file)
test_evaluator = dict(ann_file=_base_.ochuman_root + _base_.ochuman_test_file)
