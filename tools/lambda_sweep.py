"""One box, λ moving from 0 to N - 1: a strip of pictures and a GIF.

Each step shows the pose and, where the head has them, the heatmaps under it.
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from mipnet_command import BBOX, run_tool, tool_parser

HEIGHT = 256  # of a crop in the strip, pixels


def parse_args(argv=None):
    parser = tool_parser('lambda_sweep', __doc__)
    add, shown = parser.add_argument, '(default: %(default)s)'
    add('image', metavar='IMAGE')
    add('--config', help='of the pose model (default: the one of this package)')
    add('--checkpoint', help='of the pose model')
    box = 'left, top, right, bottom in pixels; once or more (default: all)'
    add('--bbox', **BBOX, help=box)
    add('--steps', type=int, default=4, help=f'from one person to the next {shown}')
    add('--fps', type=float, default=4, help=f'of the GIF {shown}')
    hollow = f'keypoints below are hollow {shown}'
    add('--kpt-thr', type=float, default=0.3, help=hollow)
    add('--out', type=Path, default=Path('work_dirs/lambda_sweep'), help=shown)
    add('--device', default='cpu', help=shown)
    args = parser.parse_args(argv)
    if (args.config is None) != (args.checkpoint is None):
        parser.error('--config and --checkpoint go together')
    if args.steps < 1 or args.fps <= 0:
        parser.error('--steps must be at least 1, --fps greater than 0')
    if any(x >= r or y >= b for x, y, r, b in args.bbox or ()):
        parser.error('--bbox is left, top, right, bottom')
    return args


def draw_steps(model, image, box, lambdas, threshold):
    """A picture (H, W, 3) of one box for each λ: title, pose, heatmaps."""
    import cv2
    import numpy as np
    from mmpose.apis import inference_topdown
    from mmpose.structures.bbox import get_warp_matrix

    from mipnet_mmpose import COLORS, draw_poses, use_lambdas
    from mipnet_mmpose.apis.inference import shown_skeleton
    from mipnet_mmpose.visualization.draw_poses import add_titles

    model.test_cfg['output_heatmaps'] = True
    with use_lambdas(model, lambdas):
        (sample,) = inference_topdown(model, image, np.array([box], np.float32))
    poses, meta = sample.pred_instances, sample.metainfo
    heatmaps = sample.get('pred_fields', {}).get('heatmaps')
    size = (round(meta['input_size'][0] * HEIGHT / meta['input_size'][1]), HEIGHT)
    matrix = get_warp_matrix(meta['input_center'], meta['input_scale'], 0, size)
    crop = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_CUBIC)
    keypoints = cv2.transform(poses.keypoints[..., :2].astype(np.float64), matrix)
    steps = []
    for i, value in enumerate(lambdas):
        near = [np.array(COLORS[(int(value) + k) % len(COLORS)]) for k in range(2)]
        color = near[0] + (value % 1) * (near[1] - near[0])
        parts = [
            draw_poses(
                crop,
                keypoints[[i]],
                poses.keypoint_scores[[i]],
                shown_skeleton(model),
                [tuple(color.astype(int).tolist())],
                threshold,
            )
        ]
        if heatmaps is not None:
            heat = heatmaps.chunk(len(lambdas))[i].cpu().numpy().max(axis=0)
            heat = cv2.resize(heat.clip(0, 1), size)[..., None]
            tint = crop * 0.35 + heat * (color - crop * 0.35)
            parts.append(tint.round().astype(np.uint8))
        steps.append(add_titles(np.vstack(parts), [f'lambda {value:.3g}']))
    return steps


def run(args):
    import cv2
    import numpy as np
    from mmengine.dataset import Compose
    from PIL import Image

    from mipnet_mmpose import load_model
    from mipnet_mmpose.apis.images import read_image
    from mipnet_mmpose.apis.inference import image_pipeline
    from mipnet_mmpose.models.lambdas import LambdaModule
    from mipnet_mmpose.whole_files import written_whole

    model = load_model(args.config, args.checkpoint, args.device)
    image = read_image(args.image, Compose(image_pipeline(model.cfg)))
    counts = [m.num_instances for m in model.modules() if isinstance(m, LambdaModule)]
    num = max(counts, default=1)
    lambdas = np.linspace(0, num - 1, (num - 1) * args.steps + 1).tolist()
    boxes = args.bbox or [[0, 0, image.shape[1], image.shape[0]]]
    boxes = [draw_steps(model, image, box, lambdas, args.kpt_thr) for box in boxes]
    steps = [np.vstack(step) for step in zip(*boxes)]
    strip, gif = args.out / 'lambda_sweep.png', args.out / 'lambda_sweep.gif'
    with written_whole(strip) as part:
        cv2.imwrite(str(part), np.hstack(steps))
    frames = [Image.fromarray(step[..., ::-1]) for step in steps + steps[-2:0:-1]]
    timing = dict(duration=round(1000 / args.fps), loop=0)
    with written_whole(gif) as part:
        frames[0].save(part, save_all=True, append_images=frames[1:], **timing)
    print(strip)
    print(gif)


if __name__ == '__main__':
    run_tool(run, parse_args())
