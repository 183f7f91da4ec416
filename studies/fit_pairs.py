"""Fit a few images with overlapping people, then find everybody from one box each.

The smallest experiment that shows what MIPNet adds: a small baseline and a small
MIPNet learn the same images by heart; at test time only one box of every
overlapping pair is given. A network with one pose per box cannot find the other.
"""

import argparse
import json
import os
import sys
from pathlib import Path

from clone import CONFIGS, SMALL, run_script

# isort: split
import numpy as np
from tqdm import tqdm

from mipnet_mmpose.evaluation.boxes import annotated_boxes, box_nms
from mipnet_mmpose.markdown import markdown_table
from mipnet_mmpose.mmpose_files import mmpose_tool
from mipnet_mmpose.whole_files import write_text

MODELS = {'baseline': f'td-hm_{SMALL}', 'MIPNet': f'td-hm_mipnet-{SMALL}'}
METRICS = {'AP': 'AP', 'AP50': 'AP .5', 'AR': 'AR', 'AR50': 'AR .5'}
BOX_FILE = 'one_box_per_pair.json'
GROUP_IOU = 0.3  # as in SynthCrowd's file of that name


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('ann_file', type=Path, help='COCO-style keypoints')
    parser.add_argument('--images', type=Path, help='default: beside ANN_FILE')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/fit_pairs'))
    parser.add_argument('--repeats', type=int, default=600, help='of each image')
    parser.add_argument('--seed', type=int, default=0)
    return parser.parse_args()


def one_box_per_pair(annotations):
    """The larger person's box of those that overlap."""
    people = {}
    for ann in annotations:
        people.setdefault(ann['image_id'], []).append(ann)
    kept = []
    for group in people.values():
        areas = np.array([ann['area'] for ann in group], float)
        best = box_nms(annotated_boxes(group), areas, GROUP_IOU)
        kept += [group[i] for i in best]
    return [
        dict(image_id=p['image_id'], category_id=1, bbox=p['bbox'], score=1.0)
        for p in kept
    ]


def fit(args, name, config, paths):
    """Train and test one model; its figures in per cent."""
    ann_file, out = paths['ann_file'], args.out
    dataset = 'train_dataloader.dataset' + '.dataset' * (name == 'MIPNet')
    command = [mmpose_tool('train.py'), config, '--no-validate', '--work-dir']
    command += [out / name, '--cfg-options', 'train_dataloader.num_workers=0']
    command += ['train_dataloader.persistent_workers=False']
    command += [f'{dataset}.{key}={value}' for key, value in paths.items()]
    command += [f'train_cfg.max_epochs={args.repeats}']
    command += [f'param_scheduler.1.end={args.repeats}']
    command += [f'randomness.seed={args.seed}']
    command += [f'default_hooks.checkpoint.interval={args.repeats}']
    run_script(command, out / f'train-{name}.log')

    metrics = out / f'{name}.json'
    checkpoint = out / name / f'epoch_{args.repeats}.pth'
    command = [mmpose_tool('test.py'), config, checkpoint, '--out', metrics]
    command += ['--work-dir', out / name / 'test', '--cfg-options']
    command += [f'test_dataloader.dataset.{k}={v}' for k, v in paths.items()]
    command += [f'test_dataloader.dataset.bbox_file={out / BOX_FILE}']
    command += [f'test_evaluator.ann_file={ann_file}']
    run_script(command, out / f'test-{name}.log')
    found = json.loads(metrics.read_text())
    return [f'{100 * found["coco/" + key]:.1f}' for key in METRICS.values()]


def main():
    args = parse_args()
    if not args.ann_file.is_file():
        sys.exit(f'fit_pairs: ANN_FILE {args.ann_file} does not exist')
    args.out = args.out.resolve()
    ann_file = args.ann_file.resolve()
    images = (args.images or ann_file.parent).resolve()
    content = json.loads(ann_file.read_text())
    for image in content['images']:
        path = Path(os.path.normpath(images / image['file_name']))
        if images not in path.parents:
            sys.exit(f'fit_pairs: {ann_file} names {path}, not in {images}')
    boxes = one_box_per_pair(content['annotations'])
    write_text(args.out / BOX_FILE, json.dumps(boxes))
    paths = {'ann_file': ann_file, 'data_prefix.img': f'{images}/', 'data_root': ''}
    try:
        rows = [
            [name, *fit(args, name, CONFIGS / config, paths)]
            for name, config in tqdm(MODELS.items(), desc='models')
        ]
    except RuntimeError as error:
        sys.exit(f'fit_pairs: {error}')
    print(markdown_table(['model', *METRICS], rows))


if __name__ == '__main__':
    main()
