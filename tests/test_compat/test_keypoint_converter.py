import json

import cv2
import numpy as np
import pytest
from mmpose.registry import DATASETS


@pytest.fixture
def ann_file(tmp_path):
    cv2.imwrite(str(tmp_path / '1.png'), np.zeros((64, 64, 3), np.uint8))
    parts = dict(keypoints=17, foot_kpts=6, face_kpts=68)
    parts.update(lefthand_kpts=21, righthand_kpts=21)
    person = dict(id=1, image_id=1, category_id=1, iscrowd=0, bbox=[4, 4, 40, 50])
    person.update(area=2000, num_keypoints=17, segmentation=[])
    for part, count in parts.items():
        person[part] = [20, 30, 2] * count
    content = dict(
        images=[dict(id=1, file_name='1.png', width=64, height=64)],
        annotations=[person],
        categories=[dict(id=1, name='person')],
    )
    (tmp_path / 'annotations.json').write_text(json.dumps(content))
    return tmp_path / 'annotations.json'


def test_wholebody_is_converted(ann_file):
    """As by the RTMPose configs of body8-halpe26, which train on it."""
    pairs = [(i, i) for i in range(17)] + [(17, 20), (18, 22), (19, 24)]
    dataset = dict(
        type='CocoWholeBodyDataset',
        ann_file=str(ann_file),
        data_prefix=dict(img=str(ann_file.parent)),
        pipeline=[dict(type='KeypointConverter', num_keypoints=26, mapping=pairs)],
    )
    sample = DATASETS.build(dataset)[0]
    assert sample['keypoints'].shape == (1, 26, 2)
    seen = (
        sample['keypoints_visible'][..., 0]
        if sample['keypoints_visible'].ndim == 3
        else sample['keypoints_visible']
    )
    assert np.flatnonzero(seen[0]).tolist() == [target for _, target in pairs]
