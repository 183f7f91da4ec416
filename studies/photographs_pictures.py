"""Six real pairs of the test photographs, and whom the box of one of them finds.

Draws the truth, the pose of the fine-tuned baseline, and those of a MIPNet for λ = 0
and 1: in OUT/pairs.jpg on the photographs, in the picture of --skeletons without them.
Of the pairs over an IoU of 0.3 it takes six, spread evenly by IoU. It asks for the one
with the larger box. The runs are those of studies/photographs.py.
"""

import argparse
import json
from pathlib import Path

import clone  # noqa: F401 (before MMPose)

# isort: split
import numpy as np
import simplepose  # noqa: F401 (registers the network)
from mmengine.config import Config
from mmpose.apis import init_model

from mipnet_mmpose.comparison.pair_crops import LEAST_IOU, draw_pair_crops, spread
from mipnet_mmpose.evaluation.boxes import annotated_boxes, box_iou

LEAST_KEYPOINTS = 8  # labelled, of each of the two


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument('--out', type=Path, default=Path('work_dirs/photographs'))
    parser.add_argument('--baseline', default='baseline-0', metavar='RUN')
    parser.add_argument('--mipnet', default='frozen-0', metavar='RUN')
    parser.add_argument('--skeletons', type=Path, metavar='PNG')
    args = parser.parse_args()
    settings = json.loads((args.out / 'settings.json').read_text())
    models = {
        'baseline': trained(args.out / args.baseline),
        'MIPNet': trained(args.out / args.mipnet),
    }
    pairs = chosen_pairs(Path(settings['test']), Path(settings['images']))
    draw_pair_crops(args.out / 'pairs.jpg', pairs, models)
    print(args.out / 'pairs.jpg')
    if args.skeletons:
        draw_pair_crops(args.skeletons, pairs, models, plain=True)
        print(args.skeletons)


def trained(folder):
    """The model of a run, with its last checkpoint."""
    cfg = Config.fromfile(folder / 'config.py')
    checkpoint = (folder / 'last_checkpoint').read_text().strip()
    return init_model(cfg, checkpoint, device='cpu')


def chosen_pairs(ann_file, images):
    """Path of the image and the two annotations of each pair."""
    data = json.loads(ann_file.read_text())
    names = {image['id']: image['file_name'] for image in data['images']}
    by_image = {}
    for ann in data['annotations']:
        if ann['num_keypoints'] >= LEAST_KEYPOINTS:
            by_image.setdefault(ann['image_id'], []).append(ann)
    found = []
    for image, anns in by_image.items():
        boxes = annotated_boxes(anns)
        ious = np.triu(box_iou(boxes, boxes), 1)
        i, j = np.unravel_index(ious.argmax(), ious.shape)
        if ious[i, j] > LEAST_IOU:
            pair = sorted((anns[i], anns[j]), key=_box_area, reverse=True)
            found.append((ious[i, j], images / names[image], pair))
    found.sort(key=lambda each: each[0])
    return [(image, pair) for _, image, pair in spread(found)]


def _box_area(ann):
    return ann['bbox'][2] * ann['bbox'][3]


if __name__ == '__main__':
    main()
