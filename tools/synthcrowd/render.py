"""Depth-buffered renderer for mannequins, procedural backgrounds, camera effects.

Camera frame, in pixels: x right, y down, z away from the viewer. The projection is
orthographic within a person (weak perspective); size and height in the image follow
the person's distance.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from . import body

_FAR = np.float32(1e6)
_CLOTH = np.isin(np.arange(9), (body.TOP, body.TORSO, body.BOTTOM))
_THIGHS = [body.BONE_INDEX[f'{side}_thigh'] for side in body.SIDES]
_TRUNK = [body.BONE_INDEX['chest'], body.BONE_INDEX['abdomen']]


@dataclass
class Projected:
    """A person's solid parts and joints in the camera frame, in pixels.

    Of P parts, each a round cone in a frame of its own, whose x and z hold the axis of
    the part and whose z is the viewing ray.
    """

    to_view: np.ndarray  # (P, 3, 3), a camera-frame vector in the frame of the part
    center: np.ndarray  # (P, 3) of the first sphere
    axis: np.ndarray  # (P, 2) x and z in the frame of the part
    radius: np.ndarray  # (P, 2) of the two ends in that frame
    box: np.ndarray  # (P, 4) exact bounds x0, y0, x1, y1
    clip: np.ndarray  # (P, 4) the half space n @ p > d is cut away
    to_bone: np.ndarray  # (P, 3, 3) camera-frame vector to bone frame
    origin: np.ndarray  # (P, 3) of the bone
    rest: np.ndarray  # (P, 3) of the bone in the rest pose
    ends: np.ndarray  # (P, 2, 3) centres from the ground point, world axes, y up
    joints: np.ndarray  # (17, 3) of COCO in the camera frame
    scale: float  # pixels of one standing height
    bone: np.ndarray  # (P,)
    material: np.ndarray  # (P,)

    def bounds(self):
        """Box x0, y0, x1, y1 of the whole silhouette, pixels."""
        return np.concatenate([self.box[:, :2].min(0), self.box[:, 2:].max(0)])

    def moved(self, shift):
        """The same person moved by ``shift`` (x, y, z) pixels."""
        shift, clip = np.asarray(shift, float), self.clip.copy()
        clip[:, 3] += clip[:, :3] @ shift
        moved = {k: getattr(self, k) + shift for k in ('center', 'origin', 'joints')}
        return replace(self, box=self.box + np.tile(shift[:2], 2), clip=clip, **moved)


def camera_matrix(pitch):
    """World (x right, y up, z to the viewer) to camera axes; pitch down, degrees."""
    return body.rotation(0, pitch) @ np.diag([1.0, -1.0, -1.0])


def project(person, camera, pixels_per_metre):
    """Pose a person, who stands on the ground at the camera frame's origin."""
    solids = map(np.array, zip(*body.build_solids(person)))
    bone, material, start, end, radius, squash, clip = solids
    rotations, origins, rest = body.bone_frames(person)
    turn = body.rotation(1, person.yaw)
    rotations, origins = turn @ rotations, origins @ turn.T
    scale = person.height * pixels_per_metre
    turn = rotations[bone]
    ends = np.stack([start, end], 1) @ turn.transpose(0, 2, 1) + origins[bone][:, None]
    spread = np.linalg.norm(turn * squash[:, None], axis=2)  # half extents, radius 1
    floor = (ends[:, :, 1] - radius * spread[:, 1:2]).min()
    ends[:, :, 1] -= floor
    origins = origins - (0, floor, 0)

    to_camera = scale * camera @ turn  # bone frame to camera frame
    to_bone = to_camera.transpose(0, 2, 1) / scale**2  # a rotation times scale
    unsquash = to_bone / squash[:, :, None]
    center = scale * ends @ camera.T
    extent = np.linalg.norm(to_camera * squash[:, None], axis=2)[:, None, :2]
    extent = extent * radius[:, :, None]
    low, high = center[..., :2] - extent, center[..., :2] + extent
    axis = (end - start) / squash
    ray = unsquash[:, :, 2]
    e3 = ray / np.linalg.norm(ray, axis=1, keepdims=True)
    across = axis - (axis * e3).sum(1, keepdims=True) * e3
    length = np.linalg.norm(across, axis=1)
    spare = np.where(np.abs(e3[:, :1]) < 0.8, [[1.0, 0, 0]], [[0, 1.0, 0]])
    spare = np.cross(e3, spare)
    e1 = np.where(length[:, None] > 1e-6, across, spare)
    e1 /= np.linalg.norm(e1, axis=1, keepdims=True)
    frame = np.stack([e1, np.cross(e3, e1), e3], 1)
    normal = np.einsum('pi,pij->pj', clip[:, :3], to_bone)
    origin = scale * origins[bone] @ camera.T
    joint_bone, offset = body.keypoint_offsets(person)
    offset = np.einsum('kij,kj->ki', rotations[joint_bone], offset)
    distance = clip[:, 3:] + (normal * origin).sum(1, keepdims=True)
    return Projected(
        to_view=frame @ unsquash,
        center=center[:, 0],
        axis=np.stack([length, (axis * e3).sum(1)], 1),
        radius=radius,
        box=np.concatenate([low.min(1), high.max(1)], 1),
        clip=np.concatenate([normal, distance], 1),
        to_bone=to_bone,
        origin=origin,
        rest=rest[bone],
        ends=ends * scale,
        joints=scale * (origins[joint_bone] + offset) @ camera.T,
        scale=scale,
        bone=bone,
        material=material,
    )


def rasterize(figure, width, height):
    """Depth and part of the frontmost surface at every pixel.

    Each part is solved exactly: along a viewing ray the surface of a swept sphere
    is ``min_t h t - sqrt(Q(t))`` with ``Q(t) = r(t)^2 - |x - l t|^2 - y^2``.

    Returns:
        tuple: window (x0, y0, x1, y1) inside the image, and for the window
        ``depth (h, w)`` float32 (1e6 where empty), ``part (h, w)`` int16 (-1 where
        empty) and ``along (h, w)`` float32, the position t on the part's axis.
    """
    low, high = np.array([0, 0]), np.array([width, height])
    x0, y0 = np.clip(np.floor(figure.bounds()[:2]).astype(int), low, high)
    x1, y1 = np.clip(np.ceil(figure.bounds()[2:]).astype(int), low, high)
    depth = np.full((y1 - y0, x1 - x0), _FAR, np.float32)
    part = np.full(depth.shape, -1, np.int16)
    along = np.zeros(depth.shape, np.float32)
    starts = np.maximum(np.floor(figure.box[:, :2]).astype(int), (x0, y0))
    stops = np.minimum(np.ceil(figure.box[:, 2:]).astype(int), (x1, y1))
    for i in np.flatnonzero((starts < stops).all(1)):
        (a, b), (c, d) = starts[i], stops[i]
        xs = np.arange(a, c, dtype=np.float32) + np.float32(0.5)
        ys = np.arange(b, d, dtype=np.float32)[:, None] + np.float32(0.5)
        z, t, hit = _intersect(figure, i, xs, ys)
        here = np.s_[b - y0 : d - y0, a - x0 : c - x0]
        hit &= z < depth[here]
        np.copyto(depth[here], z, where=hit)
        np.copyto(along[here], t, where=hit)
        part[here][hit] = i
    return (x0, y0, x1, y1), depth, part, along


def _intersect(figure, i, xs, ys):
    """Depth, axis position and hit mask of part ``i`` for pixel centres."""
    g = figure.to_view[i].astype(np.float32)
    cx, cy, cz = figure.center[i].astype(np.float32)
    xs_c, ys_c = xs - cx, ys - cy
    l, h = (float(v) for v in figure.axis[i])  # noqa: E741 (the formula's name)
    r, dr = float(figure.radius[i, 0]), float(np.diff(figure.radius[i])[0])
    u = g[0, 0] * xs_c + g[0, 1] * ys_c
    v = g[1, 0] * xs_c + g[1, 1] * ys_c
    q0 = np.float32(r * r) - u * u - v * v
    q2 = dr * dr - l * l
    if l > 1.001 * abs(dr) + 1e-9:
        q1 = np.float32(2 * l) * u
        q1 += np.float32(2 * r * dr)
        disc = q1 * q1 - np.float32(4 * q2) * q0
        np.maximum(disc, 0, out=disc)
        np.sqrt(disc, out=disc)
        t = (disc * np.float32(h / np.sqrt(h * h - q2)) - q1) * np.float32(0.5 / q2)
        np.clip(t, 0, 1, out=t)
        q = q0 + t * (q1 + np.float32(q2) * t)
        hit = q > 0
        z = np.float32(h) * t - np.sqrt(np.maximum(q, 0))
    else:  # seen end on: the nearer of the two end spheres
        u1 = u - np.float32(l)
        q1 = np.float32((r + dr) ** 2) - u1 * u1 - v * v
        z0 = np.where(q0 > 0, -np.sqrt(np.maximum(q0, 0)), _FAR)
        z1 = np.where(q1 > 0, np.float32(h) - np.sqrt(np.maximum(q1, 0)), _FAR)
        z, t = np.minimum(z0, z1), (z1 < z0).astype(np.float32)
        hit = z < _FAR
    z = (z - g[2, 0] * xs_c - g[2, 1] * ys_c) / g[2, 2] + cz
    nx, ny, nz, offset = figure.clip[i].astype(np.float32)
    if nx or ny or nz:
        hit &= nx * xs + ny * ys + nz * z <= offset
    return z, t, hit


def shade(layout, view, light):
    """Colours of the visible surface.

    Args:
        layout (scene.Layout): The persons and their parts.
        view (scene.View): The ``(H, W)`` buffers of the whole scene.
        light (dict): ``direction (3,)`` towards the light, ``ambient``, ``tint``.

    Returns:
        ndarray: ``(H, W, 3)`` float32 RGB, 0 on the background.
    """
    depth, part = view.depth, view.part
    ys, xs = np.nonzero(part >= 0)
    index, t = part[ys, xs], view.along[ys, xs]

    def of_parts(name):
        """A field of the part at each pixel, (..., N)."""
        values = np.concatenate([getattr(f, name) for f in layout.figures])
        values = np.moveaxis(values.astype(np.float32), 0, -1)
        return np.take(values, index, axis=-1)

    x, y, z = xs + np.float32(0.5), ys + np.float32(0.5), depth[ys, xs]
    g, c, axis = of_parts('to_view'), of_parts('center'), of_parts('axis')
    dx, dy, dz = x - c[0], y - c[1], z - c[2]
    nu = g[0, 0] * dx + g[0, 1] * dy - axis[0] * t
    nv = g[1, 0] * dx + g[1, 1] * dy
    nw = g[2, 0] * dx + g[2, 1] * dy + g[2, 2] * dz - axis[1] * t
    tilt = (g[0, j] * nu + g[1, j] * nv + g[2, j] * nw for j in (0, 1))
    normal = np.stack([*tilt, g[2, 2] * nw])
    normal /= np.sqrt((normal * normal).sum(0)) + np.float32(1e-9)
    o, inv = of_parts('origin'), of_parts('to_bone')
    dx, dy, dz = x - o[0], y - o[1], z - o[2]
    local = np.stack([row[0] * dx + row[1] * dy + row[2] * dz for row in inv])
    material, bone = (of_parts(name).astype(np.int8) for name in ('material', 'bone'))
    owner, rest = view.owner[ys, xs], of_parts('rest') + local
    albedo = np.empty((len(t), 3), np.float32)
    gloss = np.full(len(t), 0.05, np.float32)
    for number, person in enumerate(layout.people):
        mine = np.flatnonzero(owner == number)
        if len(mine):
            of_mine = material[mine], bone[mine], local[:, mine], rest[:, mine]
            albedo[mine] = _albedo(person, *of_mine)
            cloth = mine[_CLOTH[material[mine]]]
            normal[:2, cloth] += _folds(person.outfit, rest[:, cloth])
    skin = (material == body.SKIN) | (material == body.FACE) | (material == body.SHOE)
    gloss[skin] = 0.16
    normal /= np.sqrt((normal * normal).sum(0)) + np.float32(1e-9)
    sun = np.asarray(light['direction'], np.float32)
    lit = np.clip(sun @ normal * np.float32(0.85) + np.float32(0.15), 0, None)
    half = sun + np.float32([0, 0, -1])
    half /= np.linalg.norm(half)
    shine = np.square(np.clip(half @ normal, 0, 1))  # to the 16th power
    shine = np.square(np.square(np.square(shine))) * gloss
    sky = np.float32(0.75) - np.float32(0.25) * normal[1]  # brighter from above
    rim = np.square(1 + np.clip(normal[2], -1, 0)) * np.float32(0.1)
    ambient = light['ambient'] * sky
    occluded = _ambient_occlusion(depth, part >= 0)[ys, xs]
    energy = (ambient + (1 - light['ambient']) * lit * 1.1 + rim) * occluded
    rgb = albedo * energy[:, None] * light['tint'] + 255 * shine[:, None]
    image = np.zeros((*part.shape, 3), np.float32)
    image[ys, xs] = np.minimum(rgb, 255)
    return image


def _ambient_occlusion(depth, mask):
    """Darken what lies close behind nearer surfaces, ``(H, W)`` in 0.45..1."""
    if not mask.any():
        return np.ones_like(depth)
    z = np.where(mask, depth, depth[mask].max())
    small = cv2.resize(z, None, fx=0.25, fy=0.25, interpolation=cv2.INTER_AREA)
    size = max(small.shape[0] // 24, 2) * 2 + 1
    near = cv2.resize(cv2.blur(small, (size, size)), z.shape[::-1])
    behind = np.clip(z - near, 0, None) / np.float32(0.12 * depth.shape[0])
    return 1 - 0.55 * behind / (behind + np.float32(0.6))


def _folds(outfit, rest):
    """Small tilt of the cloth's normals, ``(2, N)``."""
    x, y, z = rest
    a, b, c, d = outfit.fold_phase.astype(np.float32)
    across = np.sin(38 * y + 55 * x + a + 2 * np.sin(31 * z + b))
    down = np.sin(47 * y - 42 * x + c + 2 * np.sin(27 * x + 24 * z + d))
    return np.stack([across, down]) * np.float32(0.16)


def _albedo(person, material, bone, p, rest):
    """Surface colour ``(N, 3)`` of one person's pixels from bone coordinates."""
    outfit = person.outfit
    material = material.copy()
    torso = material == body.TORSO
    if outfit.bottom_cut != 'dress':
        material[torso & (rest[1] < outfit.hem)] = body.BOTTOM
    material[material == body.TORSO] = body.TOP
    if outfit.bottom_cut in ('skirt', 'dress'):
        # A thigh that pokes through the rigid skirt takes its colour.
        thigh = np.isin(bone, _THIGHS) & (p[1] > -0.9 * outfit.bottom_length)
        material[thigh] = body.BOTTOM
    palette = np.zeros((9, 3), np.float32)
    palette[[body.SKIN, body.FACE]] = outfit.skin
    palette[body.HAND] = outfit.top_second if outfit.glove else outfit.skin
    palette[body.HAIR], palette[body.CAP] = outfit.hair, outfit.cap
    palette[body.TOP], palette[body.BOTTOM] = outfit.top, outfit.bottom
    palette[body.SHOE] = outfit.shoe
    colour = palette[material]
    top = material == body.TOP
    if outfit.bottom_cut == 'dress':
        top |= material == body.BOTTOM
    top = np.flatnonzero(top)
    ink = _pattern(outfit, rest[:, top], bone[top])
    colour[top] += ink[:, None] * (outfit.top_second - outfit.top).astype(np.float32)
    if outfit.side_stripe and outfit.bottom_cut in ('trousers', 'shorts'):
        legs = (material == body.BOTTOM) & (np.abs(p[2]) < 0.009)
        side = np.where(bone < body.BONE_INDEX['right_upper_arm'], 1, -1)
        colour[legs & (p[0] * side > 0)] = outfit.top_second
    if outfit.bottom_cut == 'trousers':
        belt = (material == body.BOTTOM) & torso & (rest[1] > outfit.hem - 0.012)
        colour[belt] *= 0.35
    sole = (material == body.SHOE) & (p[1] < -0.037)
    colour[sole] = 0.25 * colour[sole] + 150
    face = np.flatnonzero(material == body.FACE)
    if len(face):
        colour[face] = _paint_face(outfit, colour[face], p[:, face] / person.head_scale)
    hair = np.flatnonzero(material == body.HAIR)
    x, y, z = p[:, hair]
    strands = np.sin(260 * x + 3 * np.sin(70 * y)) * np.sin(190 * z)
    colour[hair] *= (1 + 0.18 * strands)[:, None]
    return colour


def _pattern(outfit, rest, bone):
    """How much of the second colour shows, ``(N,)`` in 0..1."""
    x, y, z = rest
    scale, name = 110 / outfit.pattern_scale, outfit.pattern
    if name == 'stripes':
        return (np.sin(scale * (x + 0.5 * z)) > 0.3).astype(np.float32)
    if name == 'hoops':
        return (np.sin(scale * y) > 0.2).astype(np.float32)
    if name == 'checks':
        warp = np.sin(scale * (x + 0.6 * z)) > 0
        return 0.5 * warp + np.float32(0.5) * (np.sin(scale * y) > 0)
    if name == 'print':
        blobs = np.sin(scale * x + 2 * np.sin(scale * 0.7 * y))
        blobs = blobs * np.sin(scale * y + 2 * np.sin(scale * 0.6 * z + 1))
        return (blobs > 0.35).astype(np.float32)
    ink = np.zeros(len(x), np.float32)
    if name == 'number':
        canvas = np.zeros((64, 64), np.uint8)  # OpenCV 5 writes on no other type
        text = str(outfit.number)
        (w, h), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_DUPLEX, 1.5, 5)
        corner = ((64 - w) // 2, (64 + h) // 2)
        cv2.putText(canvas, text, corner, cv2.FONT_HERSHEY_DUPLEX, 1.5, 1, 5)
        # Read from outside: on the front the image's right is the person's left.
        u = 32 + np.where(z > 0, x, -x) * (64 / 0.15)
        v = 32 + (0.21 - y) * (64 / 0.15)
        trunk = np.isin(bone, _TRUNK)
        on = np.flatnonzero(trunk & (u >= 0) & (u < 64) & (v >= 0) & (v < 64))
        ink[on] = canvas[v[on].astype(int), u[on].astype(int)]
    return ink


def _paint_face(outfit, colour, p):
    """Eyes, brows, mouth, beard and glasses on the head's front."""
    x, y, z = p
    front = z > 0.02
    side = np.abs(x) - np.float32(0.021)
    dark = np.minimum(outfit.hair, 90).astype(np.float32)
    lips = outfit.skin * np.float32([0.78, 0.5, 0.5])
    if outfit.beard:
        fur = front & (y < 0.028) & (np.abs(x) < 0.06)
        colour[fur] = 0.35 * colour[fur] + 0.65 * dark
    cheek = front & ((side / 0.012) ** 2 + ((y - 0.036) / 0.01) ** 2 < 1)
    colour[cheek] *= np.float32([1.02, 0.94, 0.93])
    mouth = front & ((x / 0.019) ** 2 + ((y - 0.009) / 0.0055) ** 2 < 1)
    colour[mouth] = lips
    colour[front & (np.abs(x) < 0.017) & (np.abs(y - 0.009) < 0.0012)] = lips * 0.5
    white = front & ((side / 0.0115) ** 2 + ((y - 0.058) / 0.0065) ** 2 < 1)
    colour[white] = (236, 236, 232)
    iris = front & (side**2 + (y - 0.058) ** 2 < 0.0056**2)
    colour[iris] = (34, 26, 24)
    arch = 0.0735 - 8 * side**2
    brow = front & (np.abs(side) < 0.0145) & (np.abs(y - arch) < 0.0028)
    colour[brow] = dark
    if outfit.glasses:
        ring = np.sqrt((side / 0.017) ** 2 + ((y - 0.056) / 0.014) ** 2)
        bridge = (np.abs(x) < 0.006) & (np.abs(y - 0.06) < 0.0025)
        temple = (np.abs(x) > 0.036) & (np.abs(y - 0.06) < 0.0025) & (z > -0.01)
        colour[(front & ((np.abs(ring - 1) < 0.16) | bridge)) | temple] = (26, 26, 30)
    return colour


def ground_shadow(layout, sun, width, height):
    """Shadows of the people on the ground, ``(height, width)`` float32 in 0..1."""
    camera = layout.camera
    small = np.zeros((height // 4, width // 4), np.uint8)
    up = camera.T @ sun
    slope = np.clip(up[[0, 2]] / max(up[1], 0.35), -0.9, 0.9)
    for figure, (x, y) in zip(layout.figures, layout.grounds):
        ends = figure.ends.reshape(-1, 3)
        flat = np.zeros_like(ends)
        flat[:, 0] = ends[:, 0] - slope[0] * ends[:, 1]
        flat[:, 2] = ends[:, 2] - slope[1] * ends[:, 1]
        points = ((flat @ camera.T)[:, :2] + (x, y)) / 4
        thick = np.maximum(figure.scale * figure.radius.mean(1) / 2.2, 1).astype(int)
        lines = points.reshape(-1, 2, 2).astype(int).tolist()
        for (start, end), pixels in zip(lines, thick.tolist()):
            cv2.line(small, start, end, 255, pixels)
    small = cv2.GaussianBlur(small, (0, 0), max(width / 260, 1))
    return cv2.resize(small, (width, height)).astype(np.float32) / 255
