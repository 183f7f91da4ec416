import logging

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
    for ann in anns:
        if coco.anns[ann['id']] is not ann:
            raise ValueError(
                f'{file}: {len(anns) - len(coco.anns)} of {len(anns)} annotations have '
                f'the id of another one, such as {ann["id"]}: give each its own'
            )
    people = [a for a in anns if any(v > 0 for v in a.get('keypoints', [])[2::3])]
    if use_area:
        flat = [ann for ann in people if not ann.get('area', 1) > 0]
    else:
        flat = [ann for ann in people if not ann['bbox'][2] * ann['bbox'][3] > 0]
    unknown = [ann for ann in anns if ann['category_id'] not in coco.cats]
    for found, what in (
        (unknown, 'have a category_id that categories lacks: they are not evaluated'),
        (flat, f'have {"an area" if use_area else "a box"} of 0: they are never found'),
    ):
        if found:
            what += f', such as id {found[0]["id"]}'
            what = f'{file}: {len(found)} of {len(anns)} annotations {what}'
            print_log(what, 'current', logging.WARNING)
