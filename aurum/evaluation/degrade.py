"""Twelve ways to degrade a photo, each from barely visible to unusable.

Every function takes a photo, uint8 RGB [H,W,3], a severity 0..1 and a random generator, and returns
the degraded photo and the matrix [2,3] from the original's pixels to its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Photo = NDArray[np.uint8]
Matrix = NDArray[np.float64]
STILL: Matrix = np.eye(2, 3)
# Position of the face in deep-funneled LFW photos (250x250), as shares of the sides: medians of
# YuNet's boxes and landmarks. Occluders, shadows and cuts are placed relative to it.
EYES, MOUTH = 0.449, 0.624  # heights
FACE = (0.31, 0.26, 0.69, 0.76)  # left, top, right, bottom


class Degraded(NamedTuple):
    """A degraded photo, and the matrix [2,3] from the original's pixels to its own."""

    photo: Photo
    moved: Matrix


def _still(photo: NDArray[Any] | Photo) -> Degraded:
    return Degraded(np.clip(np.rint(photo), 0, 255).astype(np.uint8), STILL)


def blur(photo: Photo, severity: float, random: np.random.Generator) -> Degraded:
    """Out of focus: a Gaussian of sigma 0.5..5 pixels."""
    return _still(cv2.GaussianBlur(photo, (0, 0), 0.5 + 4.5 * severity))


def motion(photo: Photo, severity: float, random: np.random.Generator) -> Degraded:
    """The camera moved: a line of 3..17 pixels in any direction."""
    length = 3 + 14 * severity
    side = 2 * int(length / 2) + 3
    kernel = np.zeros((side, side), np.float32)
    angle = random.uniform(0, np.pi)
    reach = np.array([np.cos(angle), np.sin(angle)]) * (length - 1) / 2
    middle = side // 2
    # Sub-pixel ends (4 bits) make the length grow smoothly.
    start, end = (np.rint((middle + sign * reach) * 16).astype(int).tolist() for sign in (-1, 1))
    cv2.line(kernel, start, end, [1.0], 1, cv2.LINE_AA, 4)
    return _still(cv2.filter2D(photo, -1, kernel / kernel.sum()))


def noise(photo: Photo, severity: float, random: np.random.Generator) -> Degraded:
    """A grainy sensor: Gaussian noise of sigma 5..50 gray levels."""
    return _still(photo + random.normal(0, 5 + 45 * severity, photo.shape))


def dark(photo: Photo, severity: float, random: np.random.Generator) -> Degraded:
    """Low light: 1/2..1/25 of the light, with a constant sensor noise of 2 levels."""
    return _still(photo * 0.5 * 0.08**severity + random.normal(0, 2, photo.shape))


def bright(photo: Photo, severity: float, random: np.random.Generator) -> Degraded:
    """Overexposed: 1.3..3.5 times the light, clipped."""
    return _still(photo * 1.3 * (3.5 / 1.3) ** severity)


def flat(photo: Photo, severity: float, random: np.random.Generator) -> Degraded:
    """Fog: 0.6..0.06 of the contrast around a gray of 90..170."""
    return _still(random.uniform(90, 170) + (photo - 128.0) * 0.6 * 0.1**severity)


def jpeg(photo: Photo, severity: float, random: np.random.Generator) -> Degraded:
    """Strong compression: JPEG of quality 30..3."""
    quality = round(30 * 0.1**severity)
    data = cv2.imencode(".jpg", photo[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    return _still(cv2.imdecode(data, cv2.IMREAD_COLOR)[..., ::-1])


def small(photo: Photo, severity: float, random: np.random.Generator) -> Degraded:
    """Far away: 0.7..0.12 of the size, so that LFW's eyes are 31..5 pixels apart."""
    height, width = photo.shape[:2]
    scale = 0.7 * (0.12 / 0.7) ** severity
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    ratio = np.array(size) / (width, height)
    # Centres of pixels: x_new = (x + 0.5) * ratio - 0.5.
    moved = np.column_stack([np.diag(ratio), 0.5 * ratio - 0.5])
    shrunk = cv2.resize(photo, size, interpolation=cv2.INTER_AREA)
    return Degraded(shrunk.astype(np.uint8), moved)


def occlude(photo: Photo, severity: float, random: np.random.Generator) -> Degraded:
    """Occlusion: a plain patch over 0.2..1 of the eyes, the mouth, the left or the right half."""
    height, width = photo.shape[:2]
    left, top, right, bottom = FACE
    parts = (
        (left, EYES - 0.06, right, EYES + 0.06),
        (left, MOUTH - 0.09, right, bottom),
        (left, top, 0.5, bottom),
        (0.5, top, right, bottom),
    )
    x0, y0, x1, y1 = parts[random.integers(len(parts))]
    share = np.sqrt(0.2 + 0.8 * severity)
    x = x0 + (x1 - x0) * (1 - share) * random.uniform()
    y = y0 + (y1 - y0) * (1 - share) * random.uniform()
    start = round(x * width), round(y * height)
    end = round((x + (x1 - x0) * share) * width), round((y + (y1 - y0) * share) * height)
    covered = photo.copy()
    covered[start[1] : end[1], start[0] : end[0]] = random.integers(0, 256, 3)
    return Degraded(covered, STILL)


def shadow(photo: Photo, severity: float, random: np.random.Generator) -> Degraded:
    """Light from one side, falling across the face's width to 0.5..0.03 on the far side."""
    width = photo.shape[1]
    across = (np.arange(width) / width - FACE[0]) / (FACE[2] - FACE[0])
    if random.random() < 0.5:
        across = 1 - across
    light = (0.5 * 0.06**severity) ** np.clip(across, 0, 1)
    return _still(photo * light[:, None])


def rotate(photo: Photo, severity: float, random: np.random.Generator) -> Degraded:
    """Tilt: turned by 10..45 degrees in either direction."""
    height, width = photo.shape[:2]
    angle = (10 + 35 * severity) * random.choice([-1, 1])
    moved = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, 1)
    turned = cv2.warpAffine(photo, moved, (width, height), borderMode=cv2.BORDER_REPLICATE)
    return Degraded(turned.astype(np.uint8), np.asarray(moved, np.float64))


def cut(photo: Photo, severity: float, random: np.random.Generator) -> Degraded:
    """Cut: a border of the photo cuts off 5..45 % of the face, at any side."""
    height, width = photo.shape[:2]
    left, top, right, bottom = FACE
    share = 0.05 + 0.4 * severity
    x0, y0, x1, y1 = 0, 0, width, height
    side = random.integers(4)
    if side == 0:
        x0 = round((left + share * (right - left)) * width)
    elif side == 1:
        x1 = round((right - share * (right - left)) * width)
    elif side == 2:
        y0 = round((top + share * (bottom - top)) * height)
    else:
        y1 = round((bottom - share * (bottom - top)) * height)
    moved = np.array([[1.0, 0, -x0], [0, 1.0, -y0]])
    return Degraded(np.ascontiguousarray(photo[y0:y1, x0:x1]), moved)


# In physical order: scene, lens, light, sensor, file. Those that depend on the face's position in
# LFW's frame come before those that move the image.
KINDS: Mapping[str, Callable[[Photo, float, np.random.Generator], Degraded]] = {
    function.__name__: function
    for function in (
        occlude, shadow, cut, rotate, small, motion, blur, bright, dark, flat, noise, jpeg
    )
}  # fmt: skip
