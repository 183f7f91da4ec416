"""Articulated 3D mannequins: proportions, poses, clothes and solid parts.

Body frame, in units of the standing height: x to the person's left, y up, z to
the front. In the rest pose the arms hang and every bone frame is aligned with the
body frame, so rest-pose coordinates serve as texture coordinates of the clothes.
"""

from types import SimpleNamespace

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

SKIN_TONES = np.float32([
    (255, 224, 196), (241, 205, 173), (229, 184, 143), (210, 160, 116),
    (187, 132, 90), (151, 101, 66), (117, 76, 50), (84, 54, 38), (62, 42, 33),
])  # fmt: skip
HAIR_TONES = np.float32([
    (28, 22, 20), (54, 36, 26), (92, 60, 36), (140, 94, 50), (196, 158, 98),
    (226, 198, 140), (150, 64, 34), (150, 148, 146), (214, 212, 208),
])  # fmt: skip
CLOTH_TONES = np.float32([
    (238, 238, 234), (30, 32, 38), (124, 128, 134), (186, 34, 40), (226, 116, 36),
    (240, 204, 64), (58, 130, 62), (26, 74, 52), (60, 148, 200), (32, 62, 138),
    (24, 32, 66), (116, 66, 148), (216, 116, 158), (124, 30, 48), (152, 116, 76),
    (206, 186, 150), (96, 104, 62), (118, 188, 178),
])  # fmt: skip
DARK_TONES = np.array([(36, 38, 46), (52, 72, 112), (78, 98, 138), (92, 84, 72)])


def _choice(rng, options):
    return options[int(rng.integers(len(options)))]


def sample_outfit(rng, female):
    """Draw the clothes and the head of one person; colours are RGB, 0-255."""
    tone = np.clip(_choice(rng, SKIN_TONES) * rng.uniform(0.93, 1.05), 0, 255)
    first, second, third, shoe, cap = (
        np.clip(CLOTH_TONES[i] + rng.normal(0, 10, 3), 8, 250)
        for i in rng.permutation(len(CLOTH_TONES))[:5]
    )
    if rng.random() < 0.45:  # trousers are dark or denim more often than not
        third = DARK_TONES[rng.integers(4)] * rng.uniform(0.8, 1.2)
    cuts = ['trousers', 'trousers', 'trousers', 'shorts', 'shorts']
    styles = ['short', 'short', 'short', 'bald', 'cap', 'long']
    if female:
        cuts = ['trousers', 'trousers', 'shorts', 'skirt', 'dress']
        styles = ['long', 'long', 'bun', 'tail', 'short', 'cap']
    cut = _choice(rng, cuts)
    short, skirt = rng.uniform(0.4, 0.95), rng.uniform(0.14, 0.3)
    patterns = ['plain', 'plain', 'stripes', 'hoops', 'checks', 'print', 'number']
    return SimpleNamespace(
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
        bottom_length={'trousers': 1.0, 'shorts': short}.get(cut, skirt),
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
    if team.bottom_cut in ('skirt', 'dress'):  # it was not asked for its pose
        outfit.bottom_cut, outfit.bottom_length = 'shorts', 0.7


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
            arm = _draw(rng, ((5, 16), (0, 35), elbow))
            pose[f'{side}_arm'] = (-stride * phase * 0.9, *arm)
    else:
        pose[f'{first}_leg'] = _draw(rng, lead)
        pose[f'{second}_leg'] = _draw(rng, trail)
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
            hip = float(np.rad2deg(thigh)) + pitch
            knee = float(np.rad2deg(max(thigh - shank, 0)))
            pose[f'{side}_leg'] = (hip, abduct, twist, knee)
    elif name in ('bend', 'crouch'):  # hips move back over the feet
        pose['root'] = (float(rng.uniform(8, 25)), pose['root'][1])
    return pose


def sample_person(rng, pose_name=None, yaw=None):
    """Draw a whole person: proportions, pose, direction and clothes.

    ``height`` is in metres; ``girth`` is the thickness of trunk and limbs, 1 is
    average; ``head_scale`` and ``leg_scale`` are 1 for an adult; ``yaw`` is in degrees,
    0 faces the camera, 90 the image's right side.
    """
    female = bool(rng.random() < 0.5)
    child = rng.random() < 0.12
    if child:
        height = rng.uniform(1.0, 1.4)
    else:
        height = rng.normal(1.66 if female else 1.77, 0.07)
    pose = sample_pose(rng, pose_name)
    outfit = sample_outfit(rng, female)
    thighs = max(abs(pose[f'{side}_leg'][0]) for side in SIDES)
    if thighs > 32 and outfit.bottom_cut in ('skirt', 'dress'):
        # A skirt is one rigid cone here and cannot follow a raised thigh.
        outfit.bottom_cut, outfit.bottom_length = 'shorts', 0.8
    return SimpleNamespace(
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
        list: ``rotations (B, 3, 3)`` from bone to body frame, ``origins (B, 3)``
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
    return [np.stack([t[name] for name in BONES]) for t in (rotations, origins, rest)]


def keypoint_offsets(person):
    """Bone index ``(17,)`` and offset in its frame ``(17, 3)`` of COCO's joints."""
    joint_bone = {
        'shoulder': 'upper_arm', 'elbow': 'forearm', 'wrist': 'hand',
        'hip': 'thigh', 'knee': 'shank', 'ankle': 'foot',
    }  # fmt: skip
    face = {'nose': (0, 0.034, 0.0775)}
    for side, sign in zip(SIDES, (1, -1)):
        face[f'{side}_eye'] = (0.021 * sign, 0.058, 0.057)
        face[f'{side}_ear'] = (0.056 * sign, 0.045, -0.004)
    bones, offsets = [], []
    for name in KEYPOINTS:
        side, _, joint = name.rpartition('_')
        bone = 'head' if name in face else f'{side}_{joint_bone[joint]}'
        bones.append(BONE_INDEX[bone])
        offsets.append(face.get(name, (0, 0, 0)))
    return np.array(bones), np.array(offsets, float) * person.head_scale


def build_solids(person):
    """The solid parts of a dressed person, in bone frames and standing heights.

    Tapered, rounded, possibly flattened capsules: a part is the image, under
    ``diag(squash)``, of the hull of two spheres with centres ``start``, ``end`` and
    radii ``radius``. The half space ``clip[:3] @ p > clip[3]`` is cut away.

    Returns:
        list[tuple]: number of the bone, material, start, end, the two radii, squash
        and clip of each part.
    """
    solids = []

    def add(bone, material, start, end, radius, squash=(1, 1, 1), clip=(0, 0, 0, 1)):
        radius = np.broadcast_to(radius, 2)
        solids.append((BONE_INDEX[bone], material, start, end, radius, squash, clip))

    _add_trunk(add, person)
    _add_head(add, person)
    for side, sign in zip(SIDES, (1, -1)):
        _add_arm(add, person, side, sign)
        _add_leg(add, person, side, sign)
    return solids


def _add_trunk(add, person):
    g, outfit = person.girth, person.outfit
    hip, waist, chest, reach = (0.077, 0.074, 0.088, 0.081)
    if person.female:
        hip, waist, chest, reach = (0.084, 0.066, 0.077, 0.07)
    flat = (1, 1, 0.72)
    add('pelvis', TORSO, (0, -0.01, 0), (0, 0.06, 0), (hip * g, waist * g), flat)
    for x in (0.042, -0.042):
        seat = (x, -0.02, -0.024 * g)
        add('pelvis', TORSO, seat, seat, 0.053 * g)
    add('abdomen', TORSO, (0, 0, 0), (0, 0.09, 0), (waist * g, 0.98 * waist * g), flat)
    add('chest', TOP, (0, 0, 0), (0, 0.085, 0), (waist * g, chest * g), (1, 1, 0.68))
    add('chest', TOP, (reach, 0.122, -0.004), (-reach, 0.122, -0.004), 0.042 * g)
    for x in (reach, -reach):
        add('chest', TOP, (0, 0.152, -0.012), (x, 0.128, -0.006), (0.036, 0.036 * g))
        if person.female:
            breast = (x * 0.6, 0.06, 0.038 * g)
            add('chest', TOP, breast, breast, 0.041)
    add('neck', SKIN, (0, -0.015, 0), (0, 0.06, 0.008), (0.036, 0.031))
    if outfit.bottom_cut in ('skirt', 'dress'):
        length = outfit.bottom_length
        radius = (waist * g * 1.03, hip * g * 1.1 + 0.2 * length)
        hem = (0, -1, 0, length)
        add('pelvis', BOTTOM, (0, 0.05, 0), (0, -length, 0), radius, (1, 1, 0.85), hem)


def _add_head(add_part, person):
    k, style = person.head_scale, person.outfit.hair_style

    def add(material, start, end, radius, squash=(1, 1, 1), clip=(0, 0, 0, 1)):
        start, end, radius = (np.multiply(k, v) for v in (start, end, radius))
        add_part('head', material, start, end, radius, squash, (*clip[:3], clip[3] * k))

    add(FACE, (0, 0.066, 0), (0, 0.066, 0), 0.06, (0.87, 1, 1.03))
    add(FACE, (0, 0.045, 0.019), (0, 0.0, 0.034), (0.047, 0.026), (0.95, 1, 0.9))
    add(SKIN, (0, 0.054, 0.057), (0, 0.035, 0.067), (0.006, 0.011))
    for x in (0.053, -0.053):
        add(SKIN, (x, 0.05, -0.004), (x, 0.04, -0.002), (0.016, 0.011), (0.5, 1, 0.8))
    if style != 'bald':  # hair ends on a plane from the forehead to the nape
        line = (0, -0.67, 0.74, -0.028)
        add(HAIR, (0, 0.07, -0.004), (0, 0.07, -0.004), 0.065, (0.9, 1, 1.03), line)
    if style == 'long':
        radius, line = (0.06, 0.046), (0, -0.25, 0.97, -0.002)
        add(HAIR, (0, 0.06, -0.016), (0, -0.075, -0.04), radius, (1, 1, 0.75), line)
    elif style == 'bun':
        add(HAIR, (0, 0.1, -0.066), (0, 0.1, -0.066), 0.028)
    elif style == 'tail':
        add(HAIR, (0, 0.085, -0.065), (0, -0.04, -0.085), (0.02, 0.013))
    elif style == 'cap':
        rim = (0, -1, 0.1, -0.082)
        add(CAP, (0, 0.073, 0), (0, 0.073, 0), 0.067, (0.9, 1, 1.03), rim)
        add(CAP, (0, 0.09, 0.05), (0, 0.084, 0.088), 0.042, (1, 0.12, 1))


def _add_arm(add, person, side, sign):
    g, outfit = 0.45 + 0.55 * person.girth, person.outfit
    upper, lower, hand = (f'{side}_{part}' for part in ('upper_arm', 'forearm', 'hand'))
    covered = outfit.sleeve > 1
    material, loose = (TOP, 1.12) if covered else (SKIN, 1.0)
    thick = 0.9 if person.female else 1.0
    r = [v * g * thick for v in (0.041, 0.033, 0.034, 0.023)]
    muscle = 0.036 * g * thick * loose
    add(upper, material, (0, 0, 0), (0, -0.17, 0), (r[0] * loose, r[1] * loose))
    add(lower, material, (0, 0, 0), (0, -0.145, 0), (r[2] * loose, r[3] * loose))
    add(lower, material, (0, -0.03, 0.002), (0, -0.075, 0), muscle)
    if not covered and outfit.sleeve > 0:
        hem = 0.17 * outfit.sleeve
        radius, clip = (r[0] * 1.1, r[0] * 1.12), (0, -1, 0, hem)
        add(upper, TOP, (0, 0, 0), (0, -hem, 0), radius, clip=clip)
    else:
        add(upper, TOP, (0, 0, 0), (0, -0.004, 0), r[0] * 1.08)
    palm, tips, thumb = (0.55, 1, 1), (0.6, 1, 1), (-0.006 * sign, -0.05, 0.034)
    add(hand, HAND, (0, -0.01, 0), (0, -0.042, 0.002), (0.021, 0.026), palm)
    add(hand, HAND, (0, -0.045, 0.002), (0, -0.088, 0.006), (0.024, 0.014), tips)
    add(hand, HAND, (0, -0.015, 0.016), thumb, (0.012, 0.008))


def _add_leg(add, person, side, sign):
    g, outfit, leg = 0.4 + 0.6 * person.girth, person.outfit, 0.245 * person.leg_scale
    thigh, shank, foot = (f'{side}_{part}' for part in ('thigh', 'shank', 'foot'))
    long = outfit.bottom_cut == 'trousers'
    material = BOTTOM if long else SKIN
    loose = 1.08 if long else 1.0
    r = [v * g for v in (0.07, 0.049, 0.045, 0.028)]
    ankle = r[3] * (1.45 if long else 1.0)
    calf = 0.044 * g * loose
    back = (0, -0.05, -0.012), (0, -0.11, -0.012)
    add(thigh, material, (0, 0, 0), (0, -leg, 0), (r[0] * loose, r[1] * loose))
    add(shank, material, (0, 0, 0), (0, -leg, 0), (r[2] * loose, ankle))
    add(shank, material, *back, (calf, calf * 0.88))
    if outfit.bottom_cut == 'shorts':
        hem = leg * outfit.bottom_length
        radius, clip = (r[0] * 1.06, r[0] * 1.02), (0, -1, 0, hem)
        add(thigh, BOTTOM, (0, 0, 0), (0, -hem, 0), radius, clip=clip)
    else:
        add(thigh, BOTTOM, (0, 0, 0), (0, -0.01, 0), r[0] * 1.02)
    add(foot, SHOE, (0, -0.012, -0.024), (0, -0.02, 0.03), (0.031, 0.032))
    toes = (0.006 * sign, -0.026, 0.09)
    add(foot, SHOE, (0, -0.016, 0.03), toes, (0.032, 0.021))
