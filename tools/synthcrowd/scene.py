"""One picture of a crowd: who stands where, what is seen, how it is annotated."""

from dataclasses import dataclass, field

import cv2
import numpy as np

from . import backdrop, body, render

SUPERSAMPLING = 2
TOLERANCE = 0.02
# Below these shares of a silhouette a person is too hidden to be annotated, as in
# OCHuman, whose persons keep most of their keypoints.
MIN_VISIBLE_PAIR, MIN_VISIBLE, MIN_SEEN_JOINTS = 0.2, 0.12, 4
_ATTEMPTS, _TRIES = 14, 40
_CAMERA_DISTANCE = 6.0  # metres; sets how fast people shrink with depth

_OUTLINES = cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE
# the bones that show a joint, and how far behind the surface it may lie
_NEAR_JOINT = {
    'shoulder': (('chest', 'upper_arm'), 0.085),
    'elbow': (('upper_arm', 'forearm'), 0.06),
    'wrist': (('forearm', 'hand'), 0.09),
    'hip': (('pelvis', 'abdomen', 'thigh'), 0.115),
    'knee': (('thigh', 'shank'), 0.068),
    'ankle': (('shank', 'foot'), 0.1),
    'eye': (('head',), 0.013),
    'nose': (('head',), 0.016),
    'ear': (('head',), 0.02),
}


@dataclass
class Layout:
    """People placed in one picture, in supersampled pixels."""

    camera: np.ndarray
    people: list = field(default_factory=list)
    figures: list[render.Projected] = field(default_factory=list)
    grounds: list[np.ndarray] = field(default_factory=list)


@dataclass
class View:
    """What the camera sees of a layout: buffers, silhouettes and measures."""

    depth: np.ndarray
    part: np.ndarray
    along: np.ndarray
    owner: np.ndarray
    whole: list[np.ndarray]
    boxes: np.ndarray
    visible: np.ndarray
    ious: np.ndarray


def box_ious(first, second):
    """IoU ``(N, M)`` of boxes ``(N, 4)`` and ``(M, 4)`` given as x0, y0, x1, y1."""
    first, second = first[:, None], second[None]
    low = np.maximum(first[..., :2], second[..., :2])
    high = np.minimum(first[..., 2:], second[..., 2:])
    inter = np.prod(np.clip(high - low, 0, None), -1)
    one, two = (
        np.prod(np.clip(b[..., 2:] - b[..., :2], 0, None), -1) for b in (first, second)
    )
    return inter / np.maximum(one + two - inter, 1e-9)


def generate_image(seed, index, *, persons=(2, 3), overlap=(0.1, 0.8), size=(320, 240)):
    """Draw one picture with its annotations.

    Args:
        seed (int): Seed of the data set.
        index (int): Which picture; all randomness comes from (seed, index).
        persons (tuple[int, int]): Fewest and most people.
        overlap (tuple[float, float]): Range of the box IoU of the closest pair.
        size (tuple[int, int]): Width and height in pixels.

    Returns:
        tuple: image ``(H, W, 3)`` uint8 BGR; annotations, a list of dicts in COCO's
        format without ids, plus ``max_iou`` and ``visible_fraction``; and the
        picture's ``crowdIndex``. Where the asked overlap could not be met within a
        fixed number of tries, the best try is returned (see :func:`in_range`).
    """
    rng = np.random.default_rng([seed, index])
    width, height = (SUPERSAMPLING * v for v in size)
    count = int(rng.integers(persons[0], persons[1] + 1))
    target = float(rng.uniform(*overlap))
    best, least = None, np.inf
    for attempt in range(_ATTEMPTS):
        layout = _arrange(rng, count, target, width, height, attempt)
        view = _observe(layout, width, height)
        fault = _fault(layout, view, target, overlap)
        if fault < least:
            best, least = (layout, view), fault
        if fault == 0:
            break
    layout, view = best
    annotations = _annotate(rng, layout, view, size)
    image = _picture(rng, layout, view, size)
    return image, annotations, crowd_index(annotations)


def in_range(iou, overlap):
    """Whether the closest pair's IoU meets the asked range.

    A range narrower than 0.04 is widened by the placement's tolerance of 0.02.
    """
    low, high = overlap
    slack = TOLERANCE if high > 0 and high - low < 2 * TOLERANCE else 0
    return low - slack <= iou <= high + slack


def _arrange(rng, count, target, width, height, attempt):
    """Place ``count`` people; the first two are the closest pair."""
    camera = render.camera_matrix(rng.uniform(3, 16))
    share = rng.uniform(0.6, 0.95)
    close_up = target > 0 and rng.random() < 0.15
    if close_up:
        share = rng.uniform(1.0, 1.45)
    share *= 0.93**attempt * min(1.0, 2.2 * width / height)
    scale = share * height / 1.75
    team = body.sample_outfit(rng, False) if rng.random() < 0.35 else None
    grapple = count > 1 and target > 0.25 and rng.random() < 0.3
    pose = (None, None)
    yaw = (None, None)
    if grapple:
        name = 'hug' if rng.random() < 0.35 else 'grapple'
        pose, yaw = (name, name), 90 * rng.choice([-1, 1]) * np.array([1, -1])
        yaw = yaw + rng.normal(0, 22, 2)
    elif rng.random() < 0.75:  # pictures show more fronts than backs
        yaw = rng.normal(0, 45, 2)

    def person(k):
        who = body.sample_person(rng, pose[k % 2], yaw[k % 2])
        if team is not None:
            body.wear_uniform(who.outfit, team)
        return who

    layout = Layout(camera)

    def stand(who, figure, ground, depth):
        layout.people.append(who)
        layout.figures.append(figure.moved((*ground, depth)))
        layout.grounds.append(np.asarray(ground, float))

    first = person(0)
    figure = render.project(first, camera, scale)
    low = height * rng.uniform(0.88, 0.985)
    ground = np.array([width / 2, low])
    top, bottom = figure.bounds()[[1, 3]]
    if close_up:  # the head stays in the picture, the feet leave it
        ground[1] = max(low, height * rng.uniform(0.03, 0.12) - top)
    else:
        ground[1] = min(ground[1], height * 0.995 - bottom)
    stand(first, figure, ground, 0.0)
    if count > 1:
        stand(*_partner(rng, layout, person, target, scale, grapple))
        _centre(rng, layout, width)
    yaw = pose = (None, None)
    for k in range(2, count):
        stand(*_bystander(rng, layout, person, k, target, scale, width, height))
    return layout


def _step_back(camera, scale, metres):
    """Scale, image row and depth change of someone ``metres`` farther away."""
    ratio = _CAMERA_DISTANCE / max(_CAMERA_DISTANCE + metres, 1.5)
    offset = scale * metres * camera @ (0, 0, -1)
    return scale * ratio, offset[1], offset[2]


def _partner(rng, layout, person, target, scale, grapple):
    """Someone who, moved sideways, reaches the asked IoU with the first person."""
    base = layout.figures[0].bounds()
    best, least = None, np.inf
    for attempt in range(_TRIES):
        if grapple:
            gap = rng.uniform(0.1, 0.3)
        else:
            gap = rng.uniform(0.3, 0.8 if target > 0.3 else 2.5)
        gap *= rng.choice([-1, 1])
        who = person(1)
        size, rise, depth = _step_back(layout.camera, scale, gap)
        figure = render.project(who, layout.camera, size)
        if target > 0.55 or attempt > 12:  # boxes of like height can overlap more
            box = figure.bounds()
            like = (base[3] - base[1]) / (box[3] - box[1]) * rng.uniform(0.92, 1.08)
            size *= np.clip(like, 0.75, 1.25)
            figure = render.project(who, layout.camera, size)
        ground = layout.grounds[0] + (0, rise)
        reach = figure.bounds()[2] - figure.bounds()[0] + base[2] - base[0]
        shift = np.linspace(-reach, reach, 801)
        box = figure.bounds() + np.tile(ground, 2)
        boxes = box + np.stack([shift, 0 * shift, shift, 0 * shift], 1)
        error = np.abs(box_ious(base[None], boxes)[0] - target)
        good = np.flatnonzero(error <= max(error.min(), 0.006))
        if target == 0:  # side by side, not at the ends of the search
            near = np.abs(shift[good])
            good = good[near <= near.min() * rng.uniform(1.03, 1.4)]
        pick = int(rng.choice(good))
        if error[pick] < least:
            least = error[pick]
            best = who, figure, ground + (shift[pick], 0), depth
        if least <= 0.01:
            break
    return best


def _centre(rng, layout, width):
    """Move the pair sideways to a random place inside the picture."""
    boxes = np.stack([f.bounds() for f in layout.figures])
    low, high = boxes[:, 0].min(), boxes[:, 2].max()
    room = width - (high - low)
    shift = (rng.uniform(0.02, 0.98) * room if room > 0 else room / 2) - low
    layout.figures = [f.moved((shift, 0, 0)) for f in layout.figures]
    layout.grounds = [g + (shift, 0) for g in layout.grounds]


def _bystander(rng, layout, person, k, target, scale, width, height):
    """Someone whose box overlaps everybody's less than the pair's do."""
    limit = max(target - 0.06, 0) * 0.9
    frame = np.array([width, height], float)
    boxes = np.stack([f.bounds() for f in layout.figures])
    best, least = None, np.inf
    for attempt in range(_TRIES):
        gap = rng.uniform(-0.6, 2.5 + 0.15 * attempt)
        who = person(k)
        size, rise, depth = _step_back(layout.camera, scale, gap)
        figure = render.project(who, layout.camera, size)
        bounds = figure.bounds()
        ground = np.array([rng.uniform(0, width), layout.grounds[0][1] + rise])
        half = min((bounds[2] - bounds[0]) * 0.45, width / 2)
        ground[0] = np.clip(ground[0], half, width - half)
        box = bounds + np.tile(ground, 2)
        inside = np.concatenate([np.maximum(box[:2], 0), np.minimum(box[2:], frame)])
        shown = np.prod(np.clip(inside[2:] - inside[:2], 0, None))
        cut = 1 - shown / np.prod(box[2:] - box[:2])
        iou = box_ious(inside[None], np.clip(boxes, 0, np.tile(frame, 2)))[0].max()
        fault = max(iou - limit, 0) + max(cut - 0.35, 0)
        if fault < least:
            least, best = fault, (who, figure, ground, depth)
        if fault == 0:
            break
    return best


def _observe(layout, width, height):
    """Render the depth buffers and measure boxes, visibility and overlap."""
    depth = np.full((height, width), 1e6, np.float32)
    part = np.full((height, width), -1, np.int16)
    along = np.zeros((height, width), np.float32)
    owner = np.full((height, width), -1, np.int8)
    size = (width // SUPERSAMPLING, height // SUPERSAMPLING)

    def shrink(mask):
        pixels = 255 * mask.astype(np.uint8)
        return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA) >= 128

    offset, whole = 0, []
    for number, figure in enumerate(layout.figures):
        (x0, y0, x1, y1), z, p, t = render.rasterize(figure, width, height)
        here = np.s_[y0:y1, x0:x1]
        front = z < depth[here]
        np.copyto(depth[here], z, where=front)
        np.copyto(along[here], t, where=front)
        np.copyto(part[here], p + np.int16(offset), where=front)
        owner[here][front] = number
        offset += len(figure.bone)
        mask = np.zeros((height, width), bool)
        mask[here] = p >= 0
        whole.append(shrink(mask))
    seen = [shrink(owner == number) for number in range(len(whole))]
    boxes = np.array([cv2.boundingRect(w.astype(np.uint8)) for w in whole], float)
    boxes[:, 2:] += boxes[:, :2]
    visible = np.array([s.sum() / max(w.sum(), 1) for s, w in zip(seen, whole)])
    ious = box_ious(boxes, boxes)
    np.fill_diagonal(ious, 0)
    return View(depth, part, along, owner, whole, boxes, visible, ious)


def _fault(layout, view, target, overlap):
    """0 when the view is as asked, else how far it is off."""
    fault = np.maximum(MIN_VISIBLE - view.visible, 0).sum()
    fault += np.maximum(MIN_VISIBLE_PAIR - view.visible[:2], 0).sum()
    for number in range(len(view.visible)):
        seen = (_joint_flags(layout, view, number) == 2).sum()
        fault += 0.1 * max(MIN_SEEN_JOINTS - seen, 0)
    if len(view.boxes) > 1:
        pair, largest = view.ious[0, 1], view.ious.max()
        if abs(pair - target) > TOLERANCE or not in_range(largest, overlap):
            fault += 1 + abs(pair - target)
        if largest > pair:
            fault += 0.5 + largest - pair
    return fault


def _joint_flags(layout, view, number):
    """COCO's v for the 17 joints of one person: 0 outside, 1 hidden, 2 seen."""
    figure = layout.figures[number]
    first = sum(len(f.bone) for f in layout.figures[:number])
    height, width = view.part.shape
    flags = np.zeros(17, int)
    for k, (name, (x, y, z)) in enumerate(zip(body.KEYPOINTS, figure.joints)):
        if not (0 <= x < width and 0 <= y < height):
            continue
        flags[k] = 1
        row, column = int(y), int(x)
        if view.owner[row, column] != number:
            continue
        side, _, joint = name.rpartition('_')
        bones, reach = _NEAR_JOINT[joint]
        bone = body.BONES[figure.bone[view.part[row, column] - first]]
        near = bone in bones or bone in {f'{side}_{b}' for b in bones}
        if near and z - view.depth[row, column] <= reach * figure.scale:
            flags[k] = 2
    return flags


def _polygons(mask):
    """COCO polygons (pixels of the image) of a supersampled mask."""
    contours, polygons = cv2.findContours(mask.astype(np.uint8), *_OUTLINES)[0], []
    for contour in contours:
        if len(contour) < 6 * SUPERSAMPLING:
            continue  # a speck
        contour = cv2.approxPolyDP(contour, 0.8, True)[:, 0]
        if len(contour) >= 3:
            points = (contour + 0.5) / SUPERSAMPLING
            polygons.append([float(v) for v in points.ravel()])
    return sorted(polygons, key=len, reverse=True)


def _annotate(rng, layout, view, size):
    """COCO annotations, in random order so that it does not tell the depth."""
    annotations = []
    for number in rng.permutation(len(layout.people)):
        number = int(number)
        polygons = _polygons(view.owner == number)
        if not polygons:
            continue
        flags = _joint_flags(layout, view, number)
        keypoints = np.zeros((17, 3))
        xy = layout.figures[number].joints[:, :2] / SUPERSAMPLING
        keypoints[:, :2] = np.minimum(np.round(xy, 2), np.array(size) - 0.01)
        keypoints[:, 2] = flags
        keypoints[flags == 0] = 0
        x0, y0, x1, y1 = view.boxes[number]
        annotations.append(
            dict(
                category_id=1,
                iscrowd=0,
                bbox=[float(v) for v in (x0, y0, x1 - x0, y1 - y0)],
                area=float(view.whole[number].sum()),
                segmentation=polygons,
                num_keypoints=int((flags > 0).sum()),
                keypoints=[v for x, y, f in keypoints.tolist() for v in (x, y, int(f))],
                max_iou=round(float(view.ious[number].max()), 4),
                visible_fraction=round(float(view.visible[number]), 4),
            )
        )
    return annotations


def crowd_index(annotations):
    """CrowdPose's measure of crowding (Li et al., CVPR 2019, Sec. 4).

    The mean over the persons with labelled joints of the number of other people's
    joints in the person's box over the number of its own joints, at most 1.
    """
    ratios = []
    rows = (np.reshape(a['keypoints'], (-1, 3)) for a in annotations)
    joints = [row[row[:, 2] > 0, :2] for row in rows]  # labelled
    for number, annotation in enumerate(annotations):
        x, y, w, h = annotation['bbox']
        inside = [
            int(((xy >= (x, y)) & (xy <= (x + w, y + h))).all(axis=1).sum())
            for xy in joints
        ]
        if len(joints[number]):
            others = sum(inside) - inside[number]
            ratios.append(others / len(joints[number]))
    return float(min(np.mean(ratios), 1.0)) if ratios else 0.0


def _picture(rng, layout, view, size):
    """Shade the people over a background and photograph the scene."""
    width, height = size
    elevation = np.deg2rad(rng.uniform(20, 70))
    azimuth = np.deg2rad(rng.uniform(-75, 75))
    across, down = np.cos(elevation), -np.sin(elevation)
    sun = np.array([across * np.sin(azimuth), down, -across * np.cos(azimuth)])
    light = dict(
        direction=sun,
        ambient=np.float32(rng.uniform(0.3, 0.6)),
        tint=(1 + rng.uniform(-0.06, 0.06, 3)).astype(np.float32),
    )
    feet = min(g[1] for g in layout.grounds) / SUPERSAMPLING
    horizon = feet - rng.uniform(0.03, 0.22) * height
    horizon = np.clip(horizon, 0.25 * height, 0.92 * height)
    scene = backdrop.background(rng, width, height, horizon)
    shadow = render.ground_shadow(layout, sun, *view.part.shape[::-1])
    shadow = cv2.resize(shadow, size, interpolation=cv2.INTER_AREA)
    scene = scene * (1 - rng.uniform(0.3, 0.6) * shadow[..., None])
    colour = render.shade(layout, view, light)
    colour = cv2.resize(colour, size, interpolation=cv2.INTER_AREA)
    cover = (view.part >= 0).astype(np.float32)
    cover = cv2.resize(cover, size, interpolation=cv2.INTER_AREA)[..., None]
    scene = scene * (1 - cover) + colour  # colour is already weighted by cover
    return backdrop.photograph(rng, scene.astype(np.float32))
