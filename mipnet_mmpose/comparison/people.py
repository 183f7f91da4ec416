"""The annotated people of a test set, and how close they are to one another."""

import numpy as np

from ..datasets.synthcrowd.scene import box_ious, crowd_index


class Truth:
    """The annotated people of the test set, and how close they are to one another.

    Attributes:
        people (dict): annotations by image id, without crowd regions.
        overlap (dict): annotation id → largest box IoU with another person.
        crowding (dict): image id → CrowdPose's crowd index.
    """

    def __init__(self, metric):
        self.coco = coco = metric.coco
        self.crowd = metric.iou_type == 'keypoints_crowd'
        self.people = {image: [] for image in coco.imgs}
        for ann in coco.anns.values():
            if not ann.get('iscrowd') and min(ann['bbox'][2:]) > 0:
                self.people[ann['image_id']].append(ann)
        self.overlap, self.crowding = {}, {}
        for image, people in self.people.items():
            boxes = corners([ann['bbox'] for ann in people])
            ious = box_ious(boxes, boxes)
            np.fill_diagonal(ious, 0)
            largest = ious.max(axis=1, initial=0)
            self.overlap.update(zip((ann['id'] for ann in people), largest))
            given = coco.imgs[image].get('crowdIndex')
            self.crowding[image] = crowd_index(people) if given is None else given

    def people_overlapping(self, low, high):
        """Ids of the people with labelled keypoints in a bin of overlap."""
        return {
            ann['id']
            for ann in self.labelled()
            if low <= self.overlap[ann['id']] < high
        }

    def images_of(self, low, high):
        """Ids of the images in a bin of crowding."""
        return {image for image, index in self.crowding.items() if low <= index < high}

    def labelled(self, images=None):
        """The people who count, of all images or some."""
        return [
            ann
            for image, people in self.people.items()
            if images is None or image in images
            for ann in people
            if self.counts(ann)
        ]

    def counts(self, ann):
        """Whether the evaluation looks for this person."""
        if self.crowd:
            return ann['num_keypoints'] > 0
        return any(v > 0 for v in ann['keypoints'][2::3])

    def owners(self, images, boxes):
        """The annotation of greatest IoU with each box, or None: B items."""
        owners = []
        for image, box in zip(images, boxes):
            people = self.people[image]
            ious = box_ious(box[None], corners([ann['bbox'] for ann in people]))[0]
            best = int(ious.argmax()) if len(ious) else 0
            owners.append(people[best] if len(ious) and ious[best] > 0 else None)
        return owners


def corners(bboxes):
    """Left, top, right, bottom of COCO's boxes."""
    boxes = np.array(bboxes, float).reshape(-1, 4)
    return np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
