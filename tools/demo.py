"""Everybody's pose in images, folders and videos: pictures and a results file.

With nothing but INPUT, the RTMDet-nano of this package finds the persons and its
MIPNet-TinyPose gives the poses of each box. A model of one's own takes --config and
--checkpoint, and the boxes of --boxes, --bbox or --det-config; without any of them the
whole image is one box.

Writes OUT/results.json, a list of people as COCO results with file_name, lambda and
box_index, and OUT/visualizations or OUT/NAME.mp4. The image_id is that of the boxes
file, else the number that is the file's name, else the place of the image or frame.
"""

import json
import sys
import warnings
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from mipnet_command import BBOX, run_tool, tool_parser


def parse_args(argv=None):
    parser = tool_parser('demo', __doc__)
    add, shown = parser.add_argument, '(default: %(default)s)'
    add('input', metavar='INPUT', help='image, folder of images, or video')
    add('--config', help="of the pose model: a path or a name, of MMPose's or of ours")
    add('--checkpoint', help='of the pose model')
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        '--det-config',
        help="of an MMDetection detector, or 'rtmdet-nano' for the one of this package",
    )
    source.add_argument(
        '--boxes',
        type=Path,
        metavar='JSON',
        help='COCO annotations, by file_name; or detections as in bbox_file of MMPose, '
        "whose image_id is the number in the image's name",
    )
    box = 'left, top, right, bottom of a box of the image in pixels; once or more'
    source.add_argument('--bbox', **BBOX, help=box)
    add('--det-checkpoint', help='of the detector')
    classes = 'classes of the detector to take (default: 0, person in COCO)'
    add('--det-cat-ids', type=int, nargs='+', default=[0], metavar='ID', help=classes)
    add('--out', type=Path, default=Path('work_dirs/demo'), help=shown)
    add('--device', help='(default: a GPU where there is one)')
    least = f'least score of detected boxes {shown}'
    add('--bbox-thr', type=float, default=0.3, help=least)
    add('--nms-thr', type=float, default=0.3, help=f'IoU of detected boxes {shown}')
    presence = 'least probability of a person for λ ≥ 1 (default: as in the config)'
    add('--presence-thr', type=float, help=presence)
    add('--kpt-thr', type=float, default=0.3, help=f'hollow keypoints below {shown}')
    add('--no-pictures', action='store_true', help='results only')
    add('--draw-bbox', action='store_true', help='draw the boxes too')
    add('--radius', type=int, default=3, help=f'of keypoints {shown}')
    add('--thickness', type=int, default=2, help=f'of limbs {shown}')
    args = parser.parse_args(argv)
    if (args.config is None) != (args.checkpoint is None):
        parser.error('--config and --checkpoint go together')
    if (args.det_config in (None, 'rtmdet-nano')) != (args.det_checkpoint is None):
        parser.error('--det-config and --det-checkpoint go together')
    return args


# arguments that the inferencer has too
SAME = ('bbox_thr', 'nms_thr', 'presence_thr', 'kpt_thr')
SAME += ('draw_bbox', 'radius', 'thickness')


def find_boxes(args, images, video):
    """Ids of the images, boxes or None, their category; a frame's id is its number."""
    from mipnet_mmpose.apis.boxes_file import boxes_from_file

    if args.boxes:
        return boxes_from_file(args.boxes, images)
    if args.bbox and (video or len(images) > 1):
        raise ValueError(f'--bbox is of one image, {args.input} is not: give --boxes')
    stems = [] if video else [Path(image).stem for image in images]
    ids = [int(stem) for stem in stems if stem.isdigit()]
    ids = ids if len(set(ids)) == len(stems) else list(range(len(stems)))
    return ids, args.bbox, 1


def coco_result(person, image_id, category_id, file_name):
    """A person of the inferencer in COCO's format."""
    left, top, right, bottom = person['bbox'][0]
    poses = zip(person['keypoints'], person['keypoint_scores'])
    return {
        'image_id': image_id,
        'category_id': category_id,
        'keypoints': [value for (x, y), score in poses for value in (x, y, score)],
        'score': person['score'],
        'bbox': [left, top, right - left, bottom - top],
        'file_name': file_name,
        'lambda': person['lambda'],
        'box_index': person['box_index'],
    }


def run(args):
    """Write the results of all images; Ctrl-C keeps what is there."""
    warnings.simplefilter('ignore')  # what the packages below say of each other
    warnings.filterwarnings('default', module='mipnet_mmpose|__main__|demo')
    warnings.formatwarning = lambda message, *_, **__: f'warning: {message}\n'
    from mmengine.logging import MMLogger
    from tqdm import tqdm

    from mipnet_mmpose import MIPNetInferencer
    from mipnet_mmpose.apis.images import list_images
    from mipnet_mmpose.whole_files import written_whole

    MMLogger.get_current_instance().setLevel('ERROR')
    images, path = list_images(args.input), Path(args.input)
    video = not isinstance(images, list)
    ids, boxes, category = find_boxes(args, images, video)
    total = max(images.frame_cnt, 0) if video else len(images)
    pictures = drawn = args.out / 'visualizations'
    if video:
        pictures = drawn = args.out / f'{path.stem}.mp4'
    elif path.is_file():
        drawn = pictures / path.name
    if not args.no_pictures and path.resolve() in (pictures.resolve(), drawn.resolve()):
        raise ValueError(f'{path} would be overwritten: give another --out')
    inferencer = MIPNetInferencer(
        args.config,
        args.checkpoint,
        device=args.device,
        det_model='whole_image' if boxes is not None else args.det_config,
        det_weights=args.det_checkpoint,
        det_cat_ids=args.det_cat_ids,
    )
    batches = inferencer(
        args.input if video else images,  # listed once: ids and names are of these
        bboxes=boxes,
        vis_out_dir='' if args.no_pictures else str(pictures),
        **{name: getattr(args, name) for name in SAME},
    )
    results, done, people, interrupted = args.out / 'results.json', 0, 0, False
    with written_whole(results) as part, part.open('w') as file:
        file.write('[')
        try:
            for batch in tqdm(batches, total=total or None, mininterval=1):
                image_id = done if video else ids[done]
                name = f'{done:06d}.jpg' if video else Path(images[done]).name
                for person in batch['predictions'][0]:
                    person = coco_result(person, image_id, category, name)
                    file.write(f'{"," if people else ""}\n{json.dumps(person)}')
                    people += 1
                done += 1
        except KeyboardInterrupt:
            interrupted = True
        batches.close()
        file.write('\n]\n')
    if done < total and not interrupted:
        print(f'{path} promises {total} frames, {done} are there')
    what = ('frame' if video else 'image') + 's' * (done != 1)
    found = f'{done} {what}, {people} {"person" if people == 1 else "people"}'
    files = [results] if args.no_pictures or not drawn.exists() else [drawn, results]
    print(f'{found}: {", ".join(map(str, files))}')
    if interrupted:
        raise KeyboardInterrupt('(the files hold what was done)')


if __name__ == '__main__':
    run_tool(run, parse_args())
