# OCHuman, for testing COCO's models with ground-truth boxes. The test loader holds the
# test set; for the validation set give tools/test.py
#     --cfg-options
#     test_dataloader.dataset.ann_file=annotations/ochuman_coco_format_val_range_0.00_1.00.json
#     test_evaluator.ann_file=data/ochuman/annotations/ochuman_coco_format_val_range_0.00_1.00.json
# and for detected boxes, in the format of COCO's person_detection_results,
#     test_dataloader.dataset.bbox_file=...
ochuman_root = 'data/ochuman/'
ochuman_val_file = 'annotations/ochuman_coco_format_val_range_0.00_1.00.json'
ochuman_test_file = 'annotations/ochuman_coco_format_test_range_0.00_1.00.json'
ochuman_val = dict(
    type='OCHumanDataset',
    data_root=ochuman_root,
    ann_file=ochuman_val_file,
    bbox_file=None,
    data_prefix=dict(img='images/'),
)
ochuman_test = dict(
    type='OCHumanDataset',
    data_root=ochuman_root,
    ann_file=ochuman_test_file,
    bbox_file=None,
    data_prefix=dict(img='images/'),
)
