_base_ = [
    '../coco/td-hm_mipnet-hrnet-w32_8xb64-210e_coco-256x192.py',
    '../_base_/ochuman_pose.py',
]

# data loaders
val_dataloader = dict(dataset=_base_.ochuman_val)
test_dataloader = dict(dataset=_base_.ochuman_test)

# evaluators
val_evaluator = dict(ann_file=_base_.ochuman_root + _base_.ochuman_val_file)
test_evaluator = dict(ann_file=_base_.ochuman_root + _base_.ochuman_test_file)
