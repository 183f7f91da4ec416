"""Everybody's pose in images, folders and videos: pictures and a results file."""

import argparse
import json
import os
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from mmengine.logging import MMLogger
from tqdm import tqdm

# before mmpose, which mmcv-lite alone cannot import
# isort: split
from mipnet_mmpose import MIPNetInferencer, open_images
from mipnet_mmpose.apis.boxes_file import boxes_from_file

# isort: split
from mmpose.structures.bbox import bbox_xyxy2xywh


def parse_args():
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog='Writes OUT/results.json, a list of people as COCO results '
        '(image_id, category_id, keypoints, score, bbox) with file_name, lambda and '
        'box_index. The image_id is that of the boxes file, else the number in the '
        'file name, else the place of the image; in a video the number of the frame. '
        'Pictures go to OUT/visualizations, a video to OUT/NAME.mp4. Without a '
        'detector and without boxes the whole image is one box.',
    )
    parser.add_argument('input', help='image, folder of images, or video')
    parser.add_argument('--config', required=True, help='of the pose model')
    parser.add_argument('--checkpoint', required=True, help='of the pose model')
    source = parser.add_mutually_exclusive_group()
    source.add_argument('--det-config', help='of an MMDetection detector')
    source.add_argument(
        '--boxes',
        type=Path,
        metavar='JSON',
        help="boxes: detections as in MMPose's bbox_file, or COCO annotations",
    )
    parser.add_argument(
        '--boxes-category',
        metavar='CATEGORY',
        help='id or name of the category to take from --boxes (default: the one there '
        'is, of several person, in detections 1)',
    )
    parser.add_argument('--det-checkpoint', help='of the detector')
    parser.add_argument(
        '--det-cat-ids',
        type=int,
        nargs='+',
        default=[0],
        metavar='ID',
        help='classes of the detector to take (default: 0, person in COCO)',
    )
    parser.add_argument('--out', type=Path, default=Path('work_dirs/demo'))
    parser.add_argument('--device', help='default: a GPU where there is one')
    parser.add_argument(
        '--bbox-thr', type=float, default=0.3, help='score of boxes (default: 0.3)'
    )
    parser.add_argument(
        '--nms-thr',
        type=float,
        default=0.3,
        help='IoU of detected boxes (default: 0.3)',
    )
    parser.add_argument(
        '--presence-thr',
        type=float,
        default=0.95,
        help='probability that a box has a person for λ ≥ 1, where the model gives it '
        '(default: 0.95)',
    )
    parser.add_argument(
        '--kpt-thr',
        type=float,
        default=0.3,
        help='keypoints below are hollow (default: 0.3)',
    )
    parser.add_argument(
        '--batch-size', type=int, default=8, help='images at a time (default: 8)'
    )
    parser.add_argument(
        '--crops', type=int, default=32, help='crops per forward pass (default: 32)'
    )
    parser.add_argument('--no-pictures', action='store_true', help='results only')
    parser.add_argument('--draw-bbox', action='store_true', help='draw the boxes too')
    parser.add_argument('--radius', type=int, default=3, help='of keypoints')
    parser.add_argument('--thickness', type=int, default=2, help='of limbs')
    return parser.parse_args()


class ResultsFile:
    """A list in a JSON file, whole after every write and renamed when it is closed."""

    def __init__(self, path):
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path, self.part = path, path.with_name(f'{path.name}.part')
        self.stream = self.part.open('wb')
        self.count = 0
        self.stream.write(b'[')
        self.add([])

    def add(self, items):
        lines = [b'\n' + json.dumps(item).encode() for item in items]
        if lines and self.count:
            self.stream.write(b',')
        self.stream.write(b','.join(lines))
        self.stream.write(b'\n]\n')
        self.stream.flush()
        self.stream.seek(-3, 2)
        self.count += len(items)

    def close(self):
        self.stream.close()
        os.replace(self.part, self.path)


def name_images(images):
    """Ids without a boxes file: the number in each name, or the place."""
    stems = [Path(image).stem for image in images]
    if all(stem.isdigit() for stem in stems) and len({*map(int, stems)}) == len(stems):
        return [int(stem) for stem in stems]
    return list(range(len(images)))


def match_boxes(args, images):
    """Ids of the images (``None`` for a video), and boxes by their places."""
    video = not isinstance(images, list)
    if args.boxes is None:
        return None if video else name_images(images), None
    ids, boxes = boxes_from_file(args.boxes, images, args.boxes_category)
    return None if video else ids, boxes


def people_of(sample, image_id):
    """The people of an image as COCO results."""
    poses = sample.pred_instances
    keypoints = np.concatenate(
        [poses.keypoints[..., :2], poses.keypoint_scores[..., None]], axis=2
    )
    return [
        {
            'image_id': image_id,
            'category_id': 1,
            'keypoints': keypoints[i].ravel().tolist(),
            'score': float(poses.scores[i]),
            'bbox': bbox_xyxy2xywh(poses.bboxes[[i]])[0].tolist(),
            'file_name': Path(sample.img_path).name,
            'lambda': float(poses.lambdas[i]),
            'box_index': int(poses.box_indices[i]),
        }
        for i in range(len(poses))
    ]


def run(args, inferencer, images):
    """Write the results of all images; Ctrl-C keeps what is there."""
    ids, boxes = match_boxes(args, images)
    source, drawn = images, args.out / 'visualizations'
    pictures = drawn
    if ids is None:
        source, pictures = args.input, args.out / f'{Path(args.input).stem}.mp4'
        drawn = args.out / f'{pictures.stem}.part.mp4'  # renamed when it ends
    batches = inferencer(
        source,
        return_datasamples=True,
        batch_size=args.batch_size,
        bboxes=boxes,
        bbox_thr=args.bbox_thr,
        nms_thr=args.nms_thr,
        crops_per_batch=args.crops,
        vis_out_dir='' if args.no_pictures else str(drawn),
        presence_thr=args.presence_thr,
        kpt_thr=args.kpt_thr,
        draw_bbox=args.draw_bbox,
        radius=args.radius,
        thickness=args.thickness,
    )
    results = ResultsFile(args.out / 'results.json')
    interrupted = False
    try:
        with tqdm(total=len(images) or None, unit=' images', mininterval=1) as progress:
            for batch in batches:
                for sample in batch['predictions']:
                    image_id = sample.img_id if ids is None else ids[sample.img_id]
                    results.add(people_of(sample, image_id))
                progress.update(len(batch['predictions']))
    except KeyboardInterrupt:
        interrupted = True
    finally:
        batches.close()
        results.close()
        if drawn != pictures and drawn.exists():
            os.replace(drawn, pictures)
    print(f'{progress.n} images, {results.count} people')
    print(args.out / 'results.json')
    if not args.no_pictures:
        print(pictures)
    return interrupted


def main():
    args = parse_args()
    warnings.formatwarning = lambda message, *_, **__: f'warning: {message}\n'
    try:
        images = open_images(args.input)
        if not len(images) and isinstance(images, list):
            sys.exit(f'{args.input}: no images in this folder')
        inferencer = MIPNetInferencer(
            args.config,
            args.checkpoint,
            device=args.device,
            det_model=args.det_config,
            det_weights=args.det_checkpoint,
            det_cat_ids=args.det_cat_ids,
        )
        MMLogger.get_current_instance().setLevel('WARNING')
        interrupted = run(args, inferencer, images)
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    if interrupted:
        print('interrupted; the files hold what was done', file=sys.stderr)
        sys.exit(130)


if __name__ == '__main__':
    main()
