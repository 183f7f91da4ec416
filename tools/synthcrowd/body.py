"""Articulated 3D mannequins: proportions, poses, clothes and solid parts.

Body frame, in units of the standing height: x to the person's left, y up, z to
the front. In the rest pose the arms hang and every bone frame is aligned with the
body frame, so rest-pose coordinates serve as texture coordinates of the clothes.
"""

from dataclasses import dataclass, field

import numpy as np

KEYPOINTS = (
    'nose', 'left_eye', 'right_eye', 'left_ear', 'right_ear', 'left_shoulder',
    'right_shoulder', 'left_elbow', 'right_elbow', 'left_wrist', 'right_wrist',
    'left_hip', 'right_hip', 'left_knee', 'right_knee', 'left_ankle', 'right_ankle',
)  # fmt: skip

SIDES = ('left', 'right')
BONES = ('pelvis', 'abdomen', 'chest', 'neck', 'head') + tuple(
    f'{side}_{name}'
    for side in SIDES
    for name in ('upper_arm', 'forearm', 'hand', 'thigh', 'shank', 'foot')
)
BONE_INDEX = {name: i for i, name in enumerate(BONES)}

# What a solid part is made of; the renderer turns it into a colour.
SKIN, FACE, HAIR, TOP, TORSO, BOTTOM, SHOE, HAND, CAP = range(9)

SKIN_TONES = np.array(
    [
        (255, 224, 196), (241, 205, 173), (229, 184, 143), (210, 160, 116),
        (187, 132, 90), (151, 101, 66), (117, 76, 50), (84, 54, 38), (62, 42, 33),
    ],
    np.float32,
)  # fmt: skip
HAIR_TONES = np.array(
    [
        (28, 22, 20), (54, 36, 26), (92, 60, 36), (140, 94, 50), (196, 158, 98),
        (226, 198, 140), (150, 64, 34), (150, 148, 146), (214, 212, 208),
    ],
    np.float32,
)  # fmt: skip
CLOTH_TONES = np.array(
    [
        (238, 238, 234), (30, 32, 38), (124, 128, 134), (186, 34, 40), (226, 116, 36),
        (240, 204, 64), (58, 130, 62), (26, 74, 52), (60, 148, 200), (32, 62, 138),
        (24, 32, 66), (116, 66, 148), (216, 116, 158), (124, 30, 48), (152, 116, 76),
        (206, 186, 150), (96, 104, 62), (118, 188, 178),
    ],
    np.float32,
)  # fmt: skip


@dataclass
class Outfit:
    """Colours (RGB, 0-255) and cuts of one person's clothes and head."""

    skin: np.ndarray
    hair: np.ndarray
    hair_style: str
    top: np.ndarray
    top_second: np.ndarray
    pattern: str
    pattern_scale: float
    number: int
    sleeve: float
    bottom: np.ndarray
    bottom_cut: str
    bottom_length: float
    side_stripe: bool
    hem: float
    shoe: np.ndarray
    glove: bool
    cap: np.ndarray
    glasses: bool
    beard: bool
    fold_phase: np.ndarray


@dataclass
class Person:
    """One body: who it is and how it stands.

    Attributes:
        height (float): Standing height in metres.
        girth (float): Thickness of trunk and limbs, 1 is average.
        female (bool): Sets hip and shoulder width and the chest.
        head_scale (float): Size of the head, 1 is an adult's.
        leg_scale (float): Length of the legs, 1 is an adult's.
        pose (dict): Joint angles in degrees, see :func:`sample_pose`.
        yaw (float): Degrees; 0 faces the camera, 90 the image's right side.
        outfit (Outfit): Clothes.
    """

    height: float
    girth: float
    female: bool
    head_scale: float
    leg_scale: float
    pose: dict[str, tuple[float, ...]]
    yaw: float
    outfit: Outfit


@dataclass
class Solids:
    """Tapered, rounded, possibly flattened capsules of one person, in bone frames.

    A part is the image, under ``diag(squash)``, of the hull of two spheres with
    centres ``start``, ``end`` and radii ``radius``. The half space
    ``clip[:3] @ p > clip[3]`` is cut away.
    """

    bone: list[int] = field(default_factory=list)
    start: list[tuple] = field(default_factory=list)
    end: list[tuple] = field(default_factory=list)
    radius: list[tuple] = field(default_factory=list)
    squash: list[tuple] = field(default_factory=list)
    material: list[int] = field(default_factory=list)
    clip: list[tuple] = field(default_factory=list)

    def add(self, bone, material, start, end, radius, squash=(1, 1, 1), clip=None):
        """Append one part; ``radius`` is one number or one per end."""
        radius = radius if isinstance(radius, tuple) else (radius, radius)
        self.bone.append(BONE_INDEX[bone])
        self.material.append(material)
        self.start.append(start)
        self.end.append(end)
        self.radius.append(radius)
        self.squash.append(squash)
        self.clip.append(clip or (0, 0, 0, 1))


def _choice(rng, options):
    return options[int(rng.integers(len(options)))]


def sample_outfit(rng, female):
    """Draw the clothes of one person."""
    tone = np.clip(_choice(rng, SKIN_TONES) * rng.uniform(0.93, 1.05), 0, 255)
    first, second, third, shoe, cap = (
        np.clip(CLOTH_TONES[i] + rng.normal(0, 10, 3), 8, 250)
        for i in rng.permutation(len(CLOTH_TONES))[:5]
    )
    if rng.random() < 0.45:  # trousers are dark or denim more often than not
        third = np.array([(36, 38, 46), (52, 72, 112), (78, 98, 138), (92, 84, 72)])[
            rng.integers(4)
        ] * rng.uniform(0.8, 1.2)
    cuts = ['trousers', 'trousers', 'trousers', 'shorts', 'shorts']
    styles = ['short', 'short', 'short', 'bald', 'cap', 'long']
    if female:
        cuts = ['trousers', 'trousers', 'shorts', 'skirt', 'dress']
        styles = ['long', 'long', 'bun', 'tail', 'short', 'cap']
    cut = _choice(rng, cuts)
    length = {'trousers': 1.0, 'shorts': rng.uniform(0.4, 0.95)}.get(
        cut, rng.uniform(0.14, 0.3)
    )
    patterns = ['plain', 'plain', 'stripes', 'hoops', 'checks', 'print', 'number']
    return Outfit(
        skin=tone,
        hair=_choice(rng, HAIR_TONES) * rng.uniform(0.85, 1.1),
        hair_style=_choice(rng, styles),
        top=first,
        top_second=second,
        pattern=_choice(rng, patterns),
        pattern_scale=rng.uniform(0.7, 1.5),
        number=int(rng.integers(1, 100)),
        sleeve=_choice(rng, [0.0, 0.45, 0.55, 0.7, 2.0, 2.0]),
        bottom=first if cut == 'dress' else third,
        bottom_cut=cut,
        bottom_length=length,
        side_stripe=bool(rng.random() < 0.25),
        hem=rng.uniform(-0.03, 0.05),
        shoe=shoe if rng.random() < 0.6 else np.array([40.0, 38, 38]),
        glove=bool(rng.random() < 0.06),
        cap=cap,
        glasses=bool(rng.random() < 0.12),
        beard=bool(not female and rng.random() < 0.25),
        fold_phase=rng.uniform(0, 2 * np.pi, 4),
    )


def wear_uniform(outfit, team):
    """Put the clothes of ``team`` on ``outfit``; head and skin stay its own."""
    for name in (
        'top', 'top_second', 'pattern', 'pattern_scale', 'sleeve', 'bottom',
        'bottom_cut', 'bottom_length', 'side_stripe', 'hem', 'shoe',
    ):  # fmt: skip
        setattr(outfit, name, getattr(team, name))


# Arms: (flexion, abduction, inward twist, elbow); legs: (flexion, abduction,
# outward twist, knee); spine: (bend, lean, twist). Pairs are ranges in degrees.
_DOWN = ((-15, 15), (4, 16), (-10, 40), (5, 30))
_STAND = ((-6, 8), (1, 9), (0, 15), (0, 8))
_RAISED = ((-10, 20), (120, 172), (-60, 0), (5, 60))
_HANDS_UP = ((-10, 20), (75, 100), (-100, -70), (60, 110))
_OUT = ((-15, 25), (60, 105), (-40, 30), (0, 50))
_ON_HIP = ((-25, -5), (35, 50), (40, 65), (85, 110))
_FORWARD = ((45, 95), (-5, 20), (-10, 40), (10, 80))
_FOLDED = ((15, 35), (5, 15), (55, 75), (95, 115))
_PHONE = ((25, 55), (5, 25), (0, 40), (115, 140))
_POSES = {
    'stand': (((-4, 6), (-4, 4), (-8, 8)), None, _STAND, _STAND),
    'walk': (((0, 8), (-3, 3), (-10, 10)), None, None, None),
    'run': (((8, 22), (-4, 4), (-15, 15)), None, None, None),
    'cheer': (((-8, 5), (-8, 8), (-10, 10)), (_RAISED, _HANDS_UP), _STAND, _STAND),
    'dance': (
        ((-10, 15), (-20, 20), (-25, 25)),
        (_RAISED, _OUT, _ON_HIP, _FORWARD),
        ((-10, 45), (2, 30), (0, 35), (5, 70)),
        ((-15, 20), (2, 25), (0, 30), (0, 30)),
    ),
    'lunge': (
        ((0, 25), (-10, 10), (-20, 20)),
        (_FORWARD, _OUT, _ON_HIP, _DOWN),
        ((40, 75), (2, 15), (0, 15), (50, 85)),
        ((-25, -5), (2, 10), (0, 20), (5, 35)),
    ),
    'crouch': (
        ((20, 45), (-8, 8), (-12, 12)),
        (_FORWARD, _PHONE),
        ((85, 115), (8, 28), (5, 25), (105, 138)),
        ((85, 115), (8, 28), (5, 25), (105, 138)),
    ),
    'sit': (
        ((5, 30), (-8, 8), (-12, 12)),
        (_DOWN, _FORWARD, _PHONE),
        ((60, 110), (2, 18), (0, 15), (0, 0)),
        ((60, 110), (2, 18), (0, 15), (0, 0)),
    ),
    'bend': (
        ((45, 85), (-8, 8), (-15, 15)),
        (_FORWARD, _DOWN, _ON_HIP),
        ((10, 40), (3, 14), (0, 10), (5, 45)),
        ((10, 40), (3, 14), (0, 10), (5, 45)),
    ),
    'grapple': (
        ((12, 42), (-8, 8), (-12, 12)),
        (_FORWARD,),
        ((15, 50), (6, 20), (0, 20), (15, 60)),
        ((-5, 25), (6, 18), (0, 20), (10, 45)),
    ),
    'hug': (((0, 14), (-6, 6), (-8, 8)), (_FORWARD,), _STAND, _STAND),
}
_FREQUENCY = {
    'stand': 0.27, 'walk': 0.16, 'run': 0.1, 'cheer': 0.1, 'dance': 0.12,
    'lunge': 0.07, 'crouch': 0.06, 'sit': 0.05, 'bend': 0.07,
}  # fmt: skip


def _draw(rng, ranges):
    return tuple(float(rng.uniform(low, high)) for low, high in ranges)


def sample_pose(rng, name=None):
    """Draw joint angles, in degrees, within human limits around a base pose.

    Args:
        rng (numpy.random.Generator): Source of randomness.
        name (str, optional): One of the base poses. Default: drawn.

    Returns:
        dict: ``name``, ``spine`` (bend, lean, twist), ``neck`` (nod, lean, turn),
        ``<side>_arm`` (flexion, abduction, inward twist, elbow), ``<side>_leg``
        (flexion, abduction, outward twist, knee) and ``root`` (pitch, roll).
    """
    if name is None:
        name = str(rng.choice(list(_FREQUENCY), p=list(_FREQUENCY.values())))
    spine, arms, lead, trail = _POSES[name]
    first, second = SIDES if rng.random() < 0.5 else SIDES[::-1]
    pose = {'name': name, 'spine': _draw(rng, spine)}
    if name in ('walk', 'run'):
        swing = rng.uniform(-1, 1)
        stride, lift = (28, 35) if name == 'walk' else (50, 85)
        elbow = (8, 40) if name == 'walk' else (70, 105)
        for side, phase in ((first, swing), (second, -swing)):
            hip = stride * phase + (12 if name == 'run' else 4)
            knee = rng.uniform(5, 18) + lift * max(-phase, 0.25 * phase)
            pose[f'{side}_leg'] = (hip, rng.uniform(0, 5), rng.uniform(0, 10), knee)
            pose[f'{side}_arm'] = (
                -stride * phase * 0.9,
                rng.uniform(5, 16),
                rng.uniform(0, 35),
                rng.uniform(*elbow),
            )
    else:
        pose[f'{first}_leg'], pose[f'{second}_leg'] = (
            _draw(rng, lead),
            _draw(rng, trail),
        )
        same = rng.random() < 0.5
        choices = arms or (_DOWN, _DOWN, _DOWN, _ON_HIP, _FOLDED, _PHONE, _OUT)
        arm = _choice(rng, choices)
        pose[f'{first}_arm'] = _draw(rng, arm)
        pose[f'{second}_arm'] = _draw(rng, arm if same else _choice(rng, choices))
    nod = rng.uniform(-12, 18) - 0.45 * pose['spine'][0]
    pose['neck'] = (nod, rng.uniform(-10, 10), rng.uniform(-40, 40))
    pose['root'] = (0.0, float(rng.normal(0, 2.5)))
    if name == 'sit':
        pitch = float(rng.uniform(-25, -8))
        pose['root'] = (pitch, pose['root'][1])
        for side in SIDES:  # the knee that brings the heel to the seat's height
            hip, abduct, twist, _ = pose[f'{side}_leg']
            thigh = np.deg2rad(max(hip - pitch, 86))
            shank = np.arccos(np.clip(0.22 - np.cos(thigh), -1, 1))
            pose[f'{side}_leg'] = (
                float(np.rad2deg(thigh)) + pitch,
                abduct,
                twist,
                float(np.rad2deg(max(thigh - shank, 0))),
            )
    elif name in ('bend', 'crouch'):  # hips move back over the feet
        pose['root'] = (float(rng.uniform(8, 25)), pose['root'][1])
    return pose


def sample_person(rng, pose_name=None, yaw=None):
    """Draw a whole person: proportions, pose, direction and clothes."""
    female = bool(rng.random() < 0.5)
    child = rng.random() < 0.12
    height = (
        rng.uniform(1.0, 1.4) if child else rng.normal(1.66 if female else 1.77, 0.07)
    )
    pose = sample_pose(rng, pose_name)
    outfit = sample_outfit(rng, female)
    thighs = max(abs(pose[f'{side}_leg'][0]) for side in SIDES)
    if thighs > 32 and outfit.bottom_cut in ('skirt', 'dress'):
        # A skirt is one rigid cone here and cannot follow a raised thigh.
        outfit.bottom_cut, outfit.bottom_length = 'shorts', 0.8
    return Person(
        height=float(np.clip(height, 1.0, 2.0)),
        girth=float(rng.uniform(0.9, 1.25)),
        female=female,
        head_scale=1.32 if child else float(rng.uniform(1.0, 1.1)),
        leg_scale=0.9 if child else float(rng.uniform(0.97, 1.03)),
        pose=pose,
        yaw=float(rng.uniform(-180, 180) if yaw is None else yaw),
        outfit=outfit,
    )


def rotation(axis, degrees):
    """Rotation matrix ``(3, 3)`` about the body axis 0 (x), 1 (y) or 2 (z)."""
    angle = np.deg2rad(degrees)
    c, s = np.cos(angle), np.sin(angle)
    matrix = np.eye(3)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix[i, i] = matrix[j, j] = c
    matrix[i, j], matrix[j, i] = -s, s
    return matrix


def bone_frames(person):
    """Forward kinematics.

    Returns:
        tuple: ``rotations (B, 3, 3)`` from bone to body frame, ``origins (B, 3)``
        in the pose and ``rest (B, 3)`` in the rest pose, in standing heights.
    """
    pose, leg = person.pose, 0.245 * person.leg_scale
    shoulder = 0.103 if person.female else 0.113
    shoulder *= 0.8 + 0.2 * person.girth
    rotations = {'pelvis': rotation(2, pose['root'][1]) @ rotation(0, pose['root'][0])}
    origins = {'pelvis': np.zeros(3)}
    rest = {'pelvis': np.zeros(3)}

    def attach(name, parent, offset, local):
        offset = np.asarray(offset, float)
        rotations[name] = rotations[parent] @ local
        origins[name] = origins[parent] + rotations[parent] @ offset
        rest[name] = rest[parent] + offset

    bend, lean, twist = pose['spine']
    half = rotation(1, twist / 2) @ rotation(2, lean / 2) @ rotation(0, bend / 2)
    attach('abdomen', 'pelvis', (0, 0.06, 0), half)
    attach('chest', 'abdomen', (0, 0.09, 0), half)
    nod, lean, turn = pose['neck']
    half = rotation(1, turn / 2) @ rotation(2, lean / 2) @ rotation(0, nod / 2)
    attach('neck', 'chest', (0, 0.15, -0.008), half)
    attach('head', 'neck', (0, 0.055, 0.01), half)
    for side, sign in zip(SIDES, (1, -1)):
        flex, abduct, twist, bend = pose[f'{side}_arm']
        local = rotation(2, sign * abduct) @ rotation(0, -flex)
        local = local @ rotation(1, -sign * twist)
        # The collarbone follows a raised arm.
        rise = 0.02 * max(abduct - 80, 0) / 90
        attach(f'{side}_upper_arm', 'chest', (sign * shoulder, 0.122 + rise, 0), local)
        attach(
            f'{side}_forearm', f'{side}_upper_arm', (0, -0.17, 0), rotation(0, -bend)
        )
        attach(f'{side}_hand', f'{side}_forearm', (0, -0.145, 0), rotation(0, -8))
        flex, abduct, twist, bend = pose[f'{side}_leg']
        local = rotation(2, sign * abduct) @ rotation(0, -flex)
        local = local @ rotation(1, sign * twist)
        hip = 0.056 if person.female else 0.051
        attach(f'{side}_thigh', 'pelvis', (sign * hip, 0, 0), local)
        attach(f'{side}_shank', f'{side}_thigh', (0, -leg, 0), rotation(0, bend))
        # The sole stays level as far as the ankle can follow.
        level = np.clip(flex - bend - pose['root'][0], -40, 25)
        attach(f'{side}_foot', f'{side}_shank', (0, -leg, 0), rotation(0, level))
    return tuple(
        np.stack([table[name] for name in BONES])
        for table in (rotations, origins, rest)
    )


def keypoint_offsets(person):
    """Bone index ``(17,)`` and offset in its frame ``(17, 3)`` of COCO's joints."""
    k = person.head_scale
    face = {
        'nose': (0, 0.034 * k, 0.0775 * k),
        'left_eye': (0.021 * k, 0.058 * k, 0.057 * k),
        'right_eye': (-0.021 * k, 0.058 * k, 0.057 * k),
        'left_ear': (0.056 * k, 0.045 * k, -0.004 * k),
        'right_ear': (-0.056 * k, 0.045 * k, -0.004 * k),
    }
    joint_bone = {
        'shoulder': 'upper_arm', 'elbow': 'forearm', 'wrist': 'hand',
        'hip': 'thigh', 'knee': 'shank', 'ankle': 'foot',
    }  # fmt: skip
    bones, offsets = [], []
    for name in KEYPOINTS:
        if name in face:
            bones.append(BONE_INDEX['head'])
            offsets.append(face[name])
        else:
            side, joint = name.split('_')
            bones.append(BONE_INDEX[f'{side}_{joint_bone[joint]}'])
            offsets.append((0, 0, 0))
    return np.array(bones), np.array(offsets, float)


def build_solids(person):
    """The solid parts of a dressed person, in bone frames and standing heights."""
    solids = Solids()
    _add_trunk(solids, person)
    _add_head(solids, person)
    for side, sign in zip(SIDES, (1, -1)):
        _add_arm(solids, person, side, sign)
        _add_leg(solids, person, side, sign)
    return solids


def _add_trunk(solids, person):
    g, outfit = person.girth, person.outfit
    hip, waist, chest = (
        (0.084, 0.066, 0.077) if person.female else (0.077, 0.074, 0.088)
    )
    reach = 0.07 if person.female else 0.081
    add = solids.add
    flat = (1, 1, 0.72)
    add('pelvis', TORSO, (0, -0.01, 0), (0, 0.06, 0), (hip * g, waist * g), flat)
    for x in (0.042, -0.042):
        add('pelvis', TORSO, (x, -0.02, -0.024 * g), (x, -0.02, -0.024 * g), 0.053 * g)
    add('abdomen', TORSO, (0, 0, 0), (0, 0.09, 0), (waist * g, 0.98 * waist * g), flat)
    add('chest', TOP, (0, 0, 0), (0, 0.085, 0), (waist * g, chest * g), (1, 1, 0.68))
    add('chest', TOP, (reach, 0.122, -0.004), (-reach, 0.122, -0.004), 0.042 * g)
    for x in (reach, -reach):
        add('chest', TOP, (0, 0.152, -0.012), (x, 0.128, -0.006), (0.036, 0.036 * g))
        if person.female:
            add(
                'chest',
                TOP,
                (x * 0.6, 0.06, 0.038 * g),
                (x * 0.6, 0.06, 0.038 * g),
                0.041,
            )
    add('neck', SKIN, (0, -0.015, 0), (0, 0.06, 0.008), (0.036, 0.031))
    if outfit.bottom_cut in ('skirt', 'dress'):
        length = outfit.bottom_length
        add(
            'pelvis', BOTTOM, (0, 0.05, 0), (0, -length, 0),
            (waist * g * 1.03, hip * g * 1.1 + 0.2 * length), (1, 1, 0.85),
            (0, -1, 0, length),
        )  # fmt: skip


def _add_head(solids, person):
    k, style = person.head_scale, person.outfit.hair_style

    def add(material, start, end, radius, squash=(1, 1, 1), clip=None):
        radius = radius if isinstance(radius, tuple) else (radius, radius)
        if clip:
            clip = (*clip[:3], clip[3] * k)
        start, end = (tuple(k * v for v in p) for p in (start, end))
        solids.add(
            'head', material, start, end, tuple(k * r for r in radius), squash, clip
        )

    add(FACE, (0, 0.066, 0), (0, 0.066, 0), 0.06, (0.87, 1, 1.03))
    add(FACE, (0, 0.045, 0.019), (0, 0.0, 0.034), (0.047, 0.026), (0.95, 1, 0.9))
    add(SKIN, (0, 0.054, 0.057), (0, 0.035, 0.067), (0.006, 0.011))
    for x in (0.053, -0.053):
        add(SKIN, (x, 0.05, -0.004), (x, 0.04, -0.002), (0.016, 0.011), (0.5, 1, 0.8))
    line = (0, -0.67, 0.74)  # hair ends on a plane from the forehead to the nape
    cap = style == 'cap'
    if style != 'bald':
        low = 0.0 if cap else -0.028
        add(HAIR, (0, 0.07, -0.004), (0, 0.07, -0.004), 0.065, (0.9, 1, 1.03),
            (*line, low - (0.028 if cap else 0)))  # fmt: skip
    if style == 'long':
        add(HAIR, (0, 0.06, -0.016), (0, -0.075, -0.04), (0.06, 0.046), (1, 1, 0.75),
            (0, -0.25, 0.97, -0.002))  # fmt: skip
    elif style == 'bun':
        add(HAIR, (0, 0.1, -0.066), (0, 0.1, -0.066), 0.028)
    elif style == 'tail':
        add(HAIR, (0, 0.085, -0.065), (0, -0.04, -0.085), (0.02, 0.013))
    elif cap:
        add(
            CAP,
            (0, 0.073, 0),
            (0, 0.073, 0),
            0.067,
            (0.9, 1, 1.03),
            (0, -1, 0.1, -0.082),
        )
        add(CAP, (0, 0.09, 0.05), (0, 0.084, 0.088), 0.042, (1, 0.12, 1))


def _add_arm(solids, person, side, sign):
    g, outfit = 0.45 + 0.55 * person.girth, person.outfit
    upper, lower, hand = (f'{side}_{part}' for part in ('upper_arm', 'forearm', 'hand'))
    covered = outfit.sleeve > 1
    material, loose = (TOP, 1.12) if covered else (SKIN, 1.0)
    thick = 0.9 if person.female else 1.0
    r = [v * g * thick for v in (0.041, 0.033, 0.034, 0.023)]
    solids.add(upper, material, (0, 0, 0), (0, -0.17, 0), (r[0] * loose, r[1] * loose))
    solids.add(lower, material, (0, 0, 0), (0, -0.145, 0), (r[2] * loose, r[3] * loose))
    solids.add(
        lower, material, (0, -0.03, 0.002), (0, -0.075, 0), 0.036 * g * thick * loose
    )
    if not covered and outfit.sleeve > 0:
        hem = 0.17 * outfit.sleeve
        solids.add(upper, TOP, (0, 0, 0), (0, -hem, 0), (r[0] * 1.1, r[0] * 1.12),
                   clip=(0, -1, 0, hem))  # fmt: skip
    else:
        solids.add(upper, TOP, (0, 0, 0), (0, -0.004, 0), r[0] * 1.08)
    palm, tips = (0.55, 1, 1), (0.6, 1, 1)
    solids.add(hand, HAND, (0, -0.01, 0), (0, -0.042, 0.002), (0.021, 0.026), palm)
    solids.add(hand, HAND, (0, -0.045, 0.002), (0, -0.088, 0.006), (0.024, 0.014), tips)
    solids.add(
        hand, HAND, (0, -0.015, 0.016), (-0.006 * sign, -0.05, 0.034), (0.012, 0.008)
    )


def _add_leg(solids, person, side, sign):
    g, outfit, leg = 0.4 + 0.6 * person.girth, person.outfit, 0.245 * person.leg_scale
    thigh, shank, foot = (f'{side}_{part}' for part in ('thigh', 'shank', 'foot'))
    cut, length = outfit.bottom_cut, outfit.bottom_length
    long = cut == 'trousers'
    material = BOTTOM if long else SKIN
    loose = 1.08 if long else 1.0
    r = [v * g for v in (0.07, 0.049, 0.045, 0.028)]
    solids.add(thigh, material, (0, 0, 0), (0, -leg, 0), (r[0] * loose, r[1] * loose))
    ankle = r[3] * (1.45 if long else 1.0)
    solids.add(shank, material, (0, 0, 0), (0, -leg, 0), (r[2] * loose, ankle))
    calf = 0.044 * g * loose
    solids.add(
        shank, material, (0, -0.05, -0.012), (0, -0.11, -0.012), (calf, calf * 0.88)
    )
    if cut == 'shorts':
        hem = leg * length
        solids.add(thigh, BOTTOM, (0, 0, 0), (0, -hem, 0), (r[0] * 1.06, r[0] * 1.02),
                   clip=(0, -1, 0, hem))  # fmt: skip
    else:
        solids.add(thigh, BOTTOM, (0, 0, 0), (0, -0.01, 0), r[0] * 1.02)
    solids.add(foot, SHOE, (0, -0.012, -0.024), (0, -0.02, 0.03), (0.031, 0.032))
    solids.add(
        foot, SHOE, (0, -0.016, 0.03), (0.006 * sign, -0.026, 0.09), (0.032, 0.021)
    )
