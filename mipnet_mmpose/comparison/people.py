from typing import Any, List, Optional, Sequence, Set

import numpy as np
from mmpose.evaluation.metrics import CocoMetric

from ..evaluation.boxes import annotated_boxes, box_iou
from ..evaluation.crowding import crowd_index


class People:
    """The annotated people of a test set, and how close they are to one another.

    Args:
        metric (CocoMetric): with the annotations of the test set.

    Attributes:
        by_image (dict): image id → its annotations, without crowd regions.
        overlap (dict): annotation id → largest box IoU with another person.
        crowding (dict): image id → crowd index of CrowdPose, as annotated or else
            computed.
    """

    def __init__(self, metric: CocoMetric):
        self.coco = metric.coco
        self.crowd = metric.iou_type == 'keypoints_crowd'
        self.by_image = {image: [] for image in self.coco.imgs}
        for ann in self.coco.anns.values():
            if not ann.get('iscrowd') and min(ann['bbox'][2:]) > 0:
                self.by_image[ann['image_id']].append(ann)
        self.overlap, self.crowding = {}, {}
        for image, people in self.by_image.items():
            boxes = annotated_boxes(people)
            ious = box_iou(boxes, boxes)
            np.fill_diagonal(ious, 0)
            largest = ious.max(axis=1, initial=0)
            self.overlap.update(zip((ann['id'] for ann in people), largest))
            given = self.coco.imgs[image].get('crowdIndex')
            self.crowding[image] = crowd_index(people) if given is None else given

    def counts(self, ann: dict) -> bool:
        """Whether the evaluation looks for this person."""
        if self.crowd:
            return ann['num_keypoints'] > 0
        return any(v > 0 for v in ann['keypoints'][2::3])

    def sought(self, images: Optional[Set] = None) -> List[dict]:
        """The people that the evaluation looks for, of all images or some."""
        images = self.by_image if images is None else images
        return [ann for i in images for ann in self.by_image[i] if self.counts(ann)]

    def overlapping(self, low: float, high: float) -> Set:
        """Ids of the people sought in a bin of overlap."""
        return {a['id'] for a in self.sought() if low <= self.overlap[a['id']] < high}

    def crowded_images(self, low: float, high: float) -> Set:
        """Ids of the images in a bin of crowding."""
        return {image for image, index in self.crowding.items() if low <= index < high}

    def owners(self, images: Sequence[Any], boxes: np.ndarray) -> List[Optional[dict]]:
        """The person of greatest box IoU with each of B boxes (B, 4), or none."""
        owners = []
        for image, box in zip(images, boxes):
            people = self.by_image[image]
            ious = box_iou(box[None], annotated_boxes(people))[0]
            best = ious.argmax() if len(ious) else None
            owners.append(people[best] if len(ious) and ious[best] > 0 else None)
        return owners
