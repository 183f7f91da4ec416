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

from quickstart import METRICS, MODELS, mmpose_tool, run

GROUP_IOU = 0.3  # as SynthCrowd's one_box_per_pair.json


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('ann_file', type=Path, help='COCO-style keypoints')
    parser.add_argument('--images', type=Path, help='default: beside ANN_FILE')
    parser.add_argument('--out', type=Path, default=Path('work_dirs/fit_pairs'))
    parser.add_argument('--repeats', type=int, default=600, help='of each image')
    parser.add_argument('--seed', type=int, default=0)
    return parser.parse_args()


def box_iou(a, b):
    width = min(a[0] + a[2], b[0] + b[2]) - max(a[0], b[0])
    height = min(a[1] + a[3], b[1] + b[3]) - max(a[1], b[1])
    inter = max(width, 0) * max(height, 0)
    return inter / (a[2] * a[3] + b[2] * b[3] - inter)


def one_box_per_pair(annotations):
    """The larger person's box of those that overlap."""
    kept = []
    for person in sorted(annotations, key=lambda a: -a['area']):
        if all(
            other['image_id'] != person['image_id']
            or box_iou(other['bbox'], person['bbox']) < GROUP_IOU
            for other in kept
        ):
            kept.append(person)
    return [
        dict(image_id=p['image_id'], category_id=1, bbox=p['bbox'], score=1.0)
        for p in kept
    ]


def main():
    args = parse_args()
    if not args.ann_file.is_file():
        sys.exit(f'fit_pairs: ANN_FILE {args.ann_file} does not exist')
    out = args.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    ann_file = args.ann_file.resolve()
    images = (args.images or ann_file.parent).resolve()
    content = json.loads(ann_file.read_text())
    for image in content['images']:
        path = Path(os.path.normpath(images / image['file_name']))
        if images not in path.parents:
            sys.exit(f'fit_pairs: {ann_file} names {path}, not in {images}')
    boxes = one_box_per_pair(content['annotations'])
    box_file = out / 'one_box_per_pair.json'
    box_file.write_text(json.dumps(boxes))

    print('| model | ' + ' | '.join(METRICS) + ' |')
    print('| --- |' + ' ---: |' * len(METRICS))
    for name, config in MODELS['heatmap'].items():
        dataset = 'train_dataloader.dataset' + '.dataset' * (name == 'MIPNet')
        paths = {'ann_file': ann_file, 'data_prefix.img': f'{images}/', 'data_root': ''}
        command = [mmpose_tool('train.py'), config, '--no-validate', '--work-dir']
        command += [out / name, '--cfg-options', 'train_dataloader.num_workers=0']
        command += ['train_dataloader.persistent_workers=False']
        command += [f'{dataset}.{key}={value}' for key, value in paths.items()]
        command += [f'train_cfg.max_epochs={args.repeats}']
        command += [f'param_scheduler.1.end={args.repeats}']
        command += [f'randomness.seed={args.seed}']
        command += [f'default_hooks.checkpoint.interval={args.repeats}']
        run(f'fitting {name}', command, out / f'train-{name}.log')

        metrics = out / f'{name}.json'
        checkpoint = out / name / f'epoch_{args.repeats}.pth'
        command = [mmpose_tool('test.py'), config, checkpoint, '--out', metrics]
        command += ['--work-dir', out / name / 'test', '--cfg-options']
        command += [f'test_dataloader.dataset.{k}={v}' for k, v in paths.items()]
        command += [f'test_dataloader.dataset.bbox_file={box_file}']
        command += [f'test_evaluator.ann_file={ann_file}']
        run(f'testing {name}', command, out / f'test-{name}.log')
        found = json.loads(metrics.read_text())
        values = [f'{100 * found["coco/" + key]:.1f}' for key in METRICS.values()]
        print(f'| {name} | ' + ' | '.join(values) + ' |')


if __name__ == '__main__':
    main()
