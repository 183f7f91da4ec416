"""Procedural backgrounds and the camera's blur, tone and noise."""

import cv2
import numpy as np


def noise(rng, width, height, octaves=4, base=3):
    """Multi-octave value noise, ``(height, width)`` float32, about 0..1."""
    size = (width // 2 + 1, height // 2 + 1)  # half the detail, a quarter of the time
    total = np.zeros(size[::-1], np.float32)
    weight, cells = 0.0, base
    for octave in range(octaves):
        amount = 0.55**octave
        grid = rng.random((cells + 2, int(cells * width / height) + 2), np.float32)
        total += amount * cv2.resize(grid, size, interpolation=cv2.INTER_CUBIC)
        weight += amount
        cells *= 2
    total *= np.float32(1 / weight)
    return cv2.resize(total, (width, height))


def _colour(rng, low=40, high=225, chroma=45):
    grey = rng.uniform(low, high)
    return np.clip(grey + rng.uniform(-chroma, chroma, 3), 5, 250).astype(np.float32)


def _mix(mask, first, second):
    return first + mask[..., None] * (second - first)


def _bricks(rng, width, height):
    """Brick or tile wall."""
    h = int(rng.integers(7, 32))
    w = int(h * rng.choice([1, 1, 2, 2.4]))
    joint = max(h // 9, 1)
    ys, xs = np.mgrid[:height, :width]
    row = ys // h
    shifted = xs + (row % 2) * (w // 2 if w > h else 0)
    column = shifted // w
    tone = rng.uniform(-14, 14, (height // h + 1, (width + w) // w + 1))
    wall = _colour(rng) + tone[row, column][..., None].astype(np.float32)
    mortar = ((ys % h < joint) | (shifted % w < joint)).astype(np.float32)
    return _mix(0.7 * mortar, wall, _colour(rng))


def _boards(rng, width, height):
    """Boards or panels, upright."""
    w = int(rng.integers(10, 48))
    xs = np.arange(width)
    tone = rng.uniform(-18, 18, width // w + 1)[xs // w]
    wall = _colour(rng) + np.tile(tone, (height, 1))[..., None].astype(np.float32)
    grain = noise(rng, width, height, 2, 24)[..., None] - 0.5
    return (wall + 30 * grain) * np.where(xs % w < 2, 0.7, 1)[None, :, None]


def _plaster(rng, width, height):
    return _mix(noise(rng, width, height, 5), _colour(rng), _colour(rng))


def _blobs(rng, width, height):
    """Out-of-focus lights and shapes."""
    image = _mix(noise(rng, width, height, 2, 2), _colour(rng), _colour(rng))
    image = np.ascontiguousarray(image, np.float32)
    for _ in range(int(rng.integers(8, 26))):
        center = (int(rng.integers(width)), int(rng.integers(height)))
        size = int(rng.integers(height // 40 + 2, height // 7 + 3))
        cv2.circle(image, center, size, _colour(rng, 60, 250).tolist(), -1)
    return cv2.GaussianBlur(image, (0, 0), rng.uniform(2, 7))


def _greens(rng, width, height):
    """Trees or a hedge under a sky."""
    leaf = _mix(
        noise(rng, width, height, 6, 6),
        np.float32([22, 42, 20]),
        np.float32([120, 160, 80]) * np.float32(rng.uniform(0.7, 1.2)),
    )
    ridge = noise(rng, width, height, 4)[height // 2] * height * 0.8
    above = np.arange(height)[:, None] < ridge
    fade = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    sky = _mix(
        np.repeat(fade, width, 1), np.float32([120, 165, 220]), np.float32([228] * 3)
    )
    return np.where(above[..., None], sky, leaf)


def _clutter(rng, image, horizon):
    """Furniture-like boxes and rounds in front of the wall."""
    height, width = image.shape[:2]
    layer = np.ascontiguousarray(image, np.float32)
    for _ in range(int(rng.integers(0, 9))):
        w, h = rng.uniform(0.04, 0.25, 2) * height
        x = rng.uniform(-0.05, 1) * width
        # Either standing on the floor or hanging on the wall.
        standing = rng.random() < 0.6
        low = horizon + height * (
            rng.uniform(-0.01, 0.06) if standing else rng.uniform(-0.7, -0.3)
        )
        colour = _colour(rng)
        if standing or rng.random() < 0.6:
            corners = (int(x), int(low - h)), (int(x + w), int(low))
            cv2.rectangle(layer, *corners, colour.tolist(), -1)
            cv2.rectangle(layer, *corners, (colour * 0.6).tolist(), 1)
        else:
            middle, axes = (int(x), int(low - h)), (int(w / 2), int(h / 2))
            cv2.ellipse(layer, middle, axes, 0, 0, 360, colour.tolist(), -1)
    return layer


def _floor(rng, width, height, horizon):
    """Ground below ``horizon`` (pixels), with tiles or boards in perspective."""
    far, near = _colour(rng), _colour(rng, 50, 200, 30)
    rows = np.arange(height, dtype=np.float32)[:, None]
    below = np.clip((rows - horizon) / max(height - horizon, 1), 1e-3, 1)
    ground = _mix(np.repeat(below, width, 1), 0.6 * near + 0.4 * far, near)
    ground = ground + 40 * (noise(rng, width, height, 5, 5)[..., None] - 0.5)
    kind = rng.random()
    if kind < 0.6:
        distance = 1 / (below + 0.08)
        across = (np.arange(width) - rng.uniform(0.2, 0.8) * width) * distance
        across = across / (width * rng.uniform(0.12, 0.4))
        lines = np.floor(across)
        if kind < 0.35:
            lines = lines + np.floor(distance * rng.uniform(1.0, 2.5))
        # Fade out where the pattern becomes finer than a pixel.
        fade = np.clip(below * 4 - 0.2, 0, 1)
        ground = ground * (1 - ((lines % 2) * fade * rng.uniform(0.08, 0.3)))[..., None]
    return ground


def background(rng, width, height, horizon):
    """A random scene, ``(height, width, 3)`` float32 RGB.

    The floor meets the wall at the row ``horizon``.
    """
    walls = (_bricks, _boards, _plaster, _plaster, _blobs, _blobs, _greens)
    wall = walls[int(rng.integers(len(walls)))](rng, width, height)
    wall = wall + 30 * (noise(rng, width, height, 3, 2)[..., None] - 0.5)
    wall = _clutter(rng, wall, horizon)
    wall = cv2.GaussianBlur(wall, (0, 0), rng.uniform(0.5, 2.2))  # out of focus
    floor = _floor(rng, width, height, horizon)
    edge = np.clip(np.arange(height, dtype=np.float32)[:, None] - horizon + 0.5, 0, 1)
    image = _mix(np.repeat(edge, width, 1), wall, floor)
    # Keep the scene duller than the clothes, so people stay the subject.
    grey = image.mean(2, keepdims=True)
    return np.clip(grey + rng.uniform(0.4, 0.9) * (image - grey), 0, 255)


def photograph(rng, image):
    """Blur, tone, vignette and sensor noise: float RGB to uint8 BGR."""
    height, width = image.shape[:2]
    if rng.random() < 0.5:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 0.9))
    elif rng.random() < 0.3:  # motion
        length = int(rng.integers(2, 5))
        kernel = np.full((1, length), 1 / length, np.float32)
        image = cv2.filter2D(image, -1, kernel if rng.random() < 0.7 else kernel.T)
    ys = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    xs = np.linspace(-1, 1, width, dtype=np.float32)
    vignette = 1 - np.float32(rng.uniform(0, 0.25)) * (xs * xs + ys * ys) / 2
    gain = (rng.uniform(0.85, 1.12) * rng.uniform(0.93, 1.07, 3)).astype(np.float32)
    image = image * (vignette[..., None] * gain)
    table = 255 * np.linspace(0, 1, 256) ** rng.uniform(0.8, 1.25)
    image = cv2.LUT(np.clip(image, 0, 255).astype(np.uint8), table.astype(np.float32))
    grain = rng.standard_normal((height, width, 3), np.float32)
    image = image + grain * np.float32(rng.uniform(1, 4.5))
    return np.clip(image[..., ::-1] + 0.5, 0, 255).astype(np.uint8)
