"""One box, λ moving from 0 to N - 1: a strip of pictures and a GIF.

Each step shows the pose and, where the head has them, the heatmaps under it.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
import numpy as np
import torch
from mmengine.dataset import Compose, pseudo_collate
from mmengine.registry import init_default_scope
from PIL import Image

# before mmpose.apis, which mmcv-lite alone cannot import
# isort: split
from mipnet_mmpose import COLORS, draw_poses, load_image, use_lambdas
from mipnet_mmpose.datasets.unwrap import find_pipeline
from mipnet_mmpose.models.stock_checkpoint import check_mimbs_loaded
from mipnet_mmpose.visualization import add_titles
from mipnet_mmpose.whole_files import written_whole

# isort: split
from mmpose.apis import init_model
from mmpose.structures.bbox import get_warp_matrix

HEIGHT = 256  # of a crop in the strip, pixels


def parse_args():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('image', help='a picture')
    parser.add_argument('--config', required=True, help='of the pose model')
    parser.add_argument('--checkpoint', required=True, help='of the pose model')
    parser.add_argument(
        '--bbox',
        type=float,
        nargs=4,
        metavar=('X', 'Y', 'W', 'H'),
        help='in pixels (default: the whole image)',
    )
    parser.add_argument(
        '--steps', type=int, default=4, help='from one person to the next (default: 4)'
    )
    parser.add_argument('--fps', type=float, default=4, help='of the GIF (default: 4)')
    parser.add_argument(
        '--kpt-thr',
        type=float,
        default=0.3,
        help='keypoints below are hollow (default: 0.3)',
    )
    parser.add_argument('--out', type=Path, default=Path('work_dirs/lambda_sweep'))
    parser.add_argument('--device', default='cpu', help='default: cpu')
    args = parser.parse_args()
    if args.steps < 1:
        parser.error(f'--steps must be at least 1, got {args.steps}')
    if args.fps <= 0:
        parser.error(f'--fps must be greater than 0, got {args.fps}')
    if args.bbox and not (np.isfinite(args.bbox).all() and min(args.bbox[2:]) > 0):
        parser.error(f'--bbox needs a width and a height, got {args.bbox}')
    return args


def sweep(model, image, box, lambdas):
    """The pose and the heatmaps, if any, for each λ: sample, list of (K, h, w)."""
    model.test_cfg['output_heatmaps'] = True
    pipeline = Compose(find_pipeline(model.cfg))
    info = dict(model.dataset_meta, img=image, bbox=box, bbox_score=np.ones(1, 'f4'))
    with use_lambdas(model, lambdas), torch.no_grad():
        sample = model.test_step(pseudo_collate([pipeline(info)]))[0]
    heatmaps = None
    if 'pred_fields' in sample and 'heatmaps' in sample.pred_fields:
        heatmaps = sample.pred_fields.heatmaps.cpu().numpy()
        heatmaps = heatmaps.reshape(len(lambdas), -1, *heatmaps.shape[1:])
    return sample, heatmaps


def blend_colors(value):
    """The colour between the two persons next to λ."""
    lower = int(value)
    a, b = (np.array(COLORS[(lower + i) % len(COLORS)]) for i in range(2))
    return tuple(int(c) for c in a + (value - lower) * (b - a))


def draw_steps(image, sample, heatmaps, lambdas, skeleton, threshold):
    """A picture for each λ: title, pose, heatmaps."""
    meta = sample.metainfo
    ratio = HEIGHT / meta['input_size'][1]
    size = (round(meta['input_size'][0] * ratio), HEIGHT)
    matrix = get_warp_matrix(meta['input_center'], meta['input_scale'], 0, size)
    crop = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_CUBIC)
    poses = sample.pred_instances
    keypoints = cv2.transform(poses.keypoints[..., :2].astype(np.float64), matrix)
    steps = []
    for i, value in enumerate(lambdas):
        scores = poses.keypoint_scores[[i]]
        color = blend_colors(value)
        parts = [draw_poses(crop, keypoints[[i]], scores, skeleton, [color], threshold)]
        if heatmaps is not None:
            heat = cv2.resize(np.clip(heatmaps[i].max(axis=0), 0, 1), size)[..., None]
            tint = crop * 0.35 + heat * (np.array(color) - crop * 0.35)
            parts.append(tint.round().astype(np.uint8))
        steps.append(add_titles(np.vstack(parts), [f'lambda {value:.3g}']))
    return steps


def main():
    args = parse_args()
    try:
        model = init_model(args.config, args.checkpoint, device=args.device)
        check_mimbs_loaded(model, args.checkpoint)
    except (OSError, ValueError) as error:
        sys.exit(f'error: {error}')
    init_default_scope('mmpose')
    try:
        image = load_image(args.image, Compose(find_pipeline(model.cfg)))
        height, width = image.shape[:2]
        x, y, w, h = args.bbox or (0, 0, width, height)
        num = getattr(model.head, 'num_instances', 1)
        lambdas = np.linspace(0, num - 1, (num - 1) * args.steps + 1).tolist()
        box = np.array([[x, y, x + w, y + h]], np.float32)
        sample, heatmaps = sweep(model, image, box, lambdas)
    except ValueError as error:
        sys.exit(f'error: {error}')
    skeleton = model.dataset_meta['skeleton_links']
    steps = draw_steps(image, sample, heatmaps, lambdas, skeleton, args.kpt_thr)

    strip, gif = args.out / 'lambda_sweep.png', args.out / 'lambda_sweep.gif'
    with written_whole(strip) as part:
        cv2.imwrite(str(part), np.hstack(steps))
    frames = [Image.fromarray(step[..., ::-1]) for step in steps + steps[-2:0:-1]]
    with written_whole(gif) as part:
        frames[0].save(
            part,
            save_all=True,
            append_images=frames[1:],
            duration=round(1000 / args.fps),
            loop=0,
        )
    print(strip)
    print(gif)


if __name__ == '__main__':
    main()
