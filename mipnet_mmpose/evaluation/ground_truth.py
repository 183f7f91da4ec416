import logging
from collections import Counter

from mmengine.logging import print_log
from xtcocotools.coco import COCO


def check_ground_truth(coco: COCO, use_area: bool = True) -> None:
    """Look for annotations with which COCO's evaluation gives a wrong AP.

    A warning says how many have a category that is not there, and how many labelled
    persons have no area: OKS with them is 0.

    Args:
        coco (COCO): annotations that a metric holds.
        use_area (bool): whether OKS is by ``area``, or by the box.

    Raises:
        ValueError: where two annotations have the same id: one is evaluated twice, the
            other never.
    """
    anns, file = coco.dataset.get('annotations', []), coco.anno_file[0]
    if len(coco.anns) < len(anns):
        ids = Counter(ann['id'] for ann in anns)
        number = sum(count > 1 for count in ids.values())
        raise ValueError(
            f'{file}: {number} ids of annotations stand there twice or more, such as '
            f'{ids.most_common(1)[0][0]}: give each annotation an id of its own'
        )

    def is_flat(ann: dict) -> bool:
        area = ann.get('area', 1) if use_area else ann['bbox'][2] * ann['bbox'][3]
        return not area > 0 and any(v > 0 for v in ann.get('keypoints', [])[2::3])

    unknown = [ann for ann in anns if ann['category_id'] not in coco.cats]
    flat = [ann for ann in anns if is_flat(ann)]
    for found, what in (
        (unknown, 'have a category_id that categories lacks: they are not evaluated'),
        (flat, f'have {"an area" if use_area else "a box"} of 0: they are never found'),
    ):
        if found:
            text = (
                f'{file}: {len(found)} of {len(anns)} annotations {what} (such as id '
            )
            print_log(f'{text}{found[0]["id"]})', 'current', logging.WARNING)
