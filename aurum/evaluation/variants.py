"""Hard variants of photos with known faces: the truth is transformed together with the photo.

Each variant is a function of a scene, which is the photo of one face. One affine matrix transforms
pixels, boxes and landmarks, so the truth stays exact.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from aurum.evaluation.annotations import Marked
from aurum.evaluation.photos import jpeg

Pixels = NDArray[np.uint8]
Matrix = NDArray[np.float64]

SIDE = 640  # pixels of a generated frame's long side: the service's default detection size
UNTOUCHED = "as it is"
GRAY = 128  # canvas around a shrunk photo
QUALITY = 95  # JPEG quality of variants that don't test compression


class Scene(NamedTuple):
    """A photo, RGB uint8 [H,W,3], and all its faces; variants are made for the face `main`.

    The other faces are marked as ignored: they may be found or not.
    """

    photo: Pixels
    marked: Marked
    main: int


class Variant(NamedTuple):
    """A variant's encoded photo and its faces."""

    data: bytes
    marked: Marked


def moved(marked: Marked, matrix: Matrix) -> Marked:
    """Transform the faces by an affine matrix [2,3].

    A box stands for the ellipse within it, as in FDDB (Jain and Learned-Miller, 2010): the new box
    tightly encloses the transformed ellipse. Around the rectangle's corners it would have up to
    twice the area at 45 degrees, unlike a detector's box.
    """
    middle = marked.boxes[:, :2] + marked.boxes[:, 2:] / 2
    half = marked.boxes[:, 2:] / 2
    middle = middle @ matrix[:, :2].T + matrix[:, 2]
    half = np.sqrt(half**2 @ (matrix[:, :2] ** 2).T)
    return Marked(
        np.concatenate([middle - half, 2 * half], axis=1),
        marked.landmarks @ matrix[:, :2].T + matrix[:, 2],
        marked.ignore,
    )


def cut(scene: Scene, matrix: Matrix, width: int, height: int, fill: int = 0) -> Scene:
    """Transform the photo and its faces by `matrix` into a new frame (pixel centres at integers).

    Faces outside the frame are dropped.
    """
    scale = float(np.sqrt(abs(np.linalg.det(matrix[:, :2]))))
    photo = scene.photo
    if scale < 1:  # sampling alone would skip pixels: blur first, like scikit-image
        photo = cv2.GaussianBlur(photo, (0, 0), max(0.01, (1 / scale - 1) / 2))  # type: ignore[assignment]
    photo = cv2.warpAffine(  # type: ignore[assignment]
        photo, matrix, (width, height), flags=cv2.INTER_CUBIC, borderValue=(fill,) * 3
    )
    marked = moved(scene.marked, matrix)
    seen = _seen(marked.boxes, width, height)
    kept = np.flatnonzero(seen > 0)
    marked = Marked(marked.boxes[kept], marked.landmarks[kept], marked.ignore[kept])
    return Scene(photo, marked, int(np.searchsorted(kept, scene.main)))


def _seen(boxes: NDArray[np.float64], width: int, height: int) -> NDArray[np.float64]:
    """Return the share of each box's area within the frame."""
    low = np.clip(boxes[:, :2], 0, (width, height))
    high = np.clip(boxes[:, :2] + boxes[:, 2:], 0, (width, height))
    return (high - low).prod(axis=1) / boxes[:, 2:].prod(axis=1)  # type: ignore[no-any-return]


def _frame(scene: Scene, box: NDArray[np.float64], width: int, height: int) -> Scene:
    """Scale the part `box` (x, y, width, height) of the photo to a frame of the given size."""
    scale = np.array([width / box[2], height / box[3]])
    shift = -box[:2] * scale
    return cut(scene, np.array([[scale[0], 0, shift[0]], [0, scale[1], shift[1]]]), width, height)


def close_up(scene: Scene, share: float, side: int) -> Variant:
    """Make a frame of long side `side`, whose width and height the face fills by `share`."""
    box = scene.marked.boxes[scene.main]
    whole = box[2:] / share
    frame = np.concatenate([box[:2] + box[2:] / 2 - whole / 2, whole])
    width, height = (round(float(length) * side / float(whole.max())) for length in whole)
    result = _frame(scene, frame, width, height)
    return Variant(jpeg(result.photo, QUALITY), result.marked)


def small(scene: Scene, pixels: float) -> Variant:
    """Shrink the face to a height of `pixels`, on a gray canvas of SIDE pixels."""
    scale = pixels / scene.marked.boxes[scene.main, 3]
    height, width = scene.photo.shape[:2]
    shift = (SIDE - np.array([width, height]) * scale) / 2
    matrix = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
    result = cut(scene, matrix, SIDE, SIDE, GRAY)
    return Variant(jpeg(result.photo, QUALITY), result.marked)


def rotated(scene: Scene, degrees: float) -> Variant:
    """Turn the photo counterclockwise about its centre, in a frame that holds all of it."""
    height, width = scene.photo.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    new = np.abs(matrix[:, :2]) @ (width, height)
    matrix[:, 2] = matrix[:, 2] + (new - (width, height)) / 2
    result = cut(
        scene, np.asarray(matrix, np.float64), round(float(new[0])), round(float(new[1])), GRAY
    )
    return Variant(jpeg(result.photo, QUALITY), result.marked)


def at_border(scene: Scene, side: str, lost: float) -> Variant:
    """Cut the frame so that the share `lost` of the face's width or height is beyond the border."""
    x, y, box_width, box_height = scene.marked.boxes[scene.main]
    height, width = scene.photo.shape[:2]
    left, top, right, bottom = 0.0, 0.0, float(width), float(height)
    if side == "left":
        left = x + lost * box_width
    elif side == "right":
        right = x + (1 - lost) * box_width
    elif side == "top":
        top = y + lost * box_height
    else:
        bottom = y + (1 - lost) * box_height
    left, top, right, bottom = (round(value) for value in (left, top, right, bottom))
    frame = np.array([left, top, right - left, bottom - top], np.float64)
    result = _frame(scene, frame, right - left, bottom - top)
    return Variant(jpeg(result.photo, QUALITY), result.marked)


def low_light(scene: Scene, light: float) -> Variant:
    """Reduce the light to the share `light`, in linear intensities, with sensor noise.

    The noise is Poisson noise of 2000 photons at full white, and 2 levels of read noise.
    """
    random = np.random.default_rng(scene.photo.shape[0])
    linear = (scene.photo / 255.0) ** 2.2 * light
    noisy = random.poisson(linear * 2000) / 2000
    photo = 255 * noisy ** (1 / 2.2) + random.normal(0, 2, scene.photo.shape)
    return _plain(scene, photo.round().clip(0, 255).astype(np.uint8))


def blurred(scene: Scene, share: float) -> Variant:
    """Apply a Gaussian blur whose sigma is `share` of the face's height."""
    sigma = share * scene.marked.boxes[scene.main, 3]
    return _plain(scene, cv2.GaussianBlur(scene.photo, (0, 0), sigma))


def motion(scene: Scene, share: float) -> Variant:
    """Apply horizontal motion blur of `share` of the face's height."""
    length = max(1, round(share * scene.marked.boxes[scene.main, 3]))
    return _plain(scene, cv2.blur(scene.photo, (length, 1), borderType=cv2.BORDER_REPLICATE))


def noisy(scene: Scene, sigma: float) -> Variant:
    """Add Gaussian noise of `sigma` levels of 255."""
    random = np.random.default_rng(scene.photo.shape[0])
    photo = scene.photo + random.normal(0, sigma, scene.photo.shape)
    return _plain(scene, photo.round().clip(0, 255).astype(np.uint8))


def compressed(scene: Scene, quality: int) -> Variant:
    """Encode as JPEG of the given quality."""
    return Variant(jpeg(scene.photo, quality), scene.marked)


def grayscale(scene: Scene) -> Variant:
    """Encode as JPEG with one channel."""
    gray = cv2.cvtColor(scene.photo, cv2.COLOR_RGB2GRAY)
    return Variant(cv2.imencode(".jpg", gray)[1].tobytes(), scene.marked)


# How a camera stores the upright picture for each EXIF orientation (EXIF 2.32, tag 0x0112).
_STORED: dict[int, Callable[[Any], Any]] = {
    1: lambda photo: photo,
    2: lambda photo: photo[:, ::-1],
    3: lambda photo: photo[::-1, ::-1],
    4: lambda photo: photo[::-1],
    5: lambda photo: photo.transpose(1, 0, 2),
    6: lambda photo: np.rot90(photo, 1),
    7: lambda photo: np.rot90(photo, 1)[:, ::-1],
    8: lambda photo: np.rot90(photo, -1),
}


def oriented(scene: Scene, orientation: int) -> Variant:
    """Store the photo like a camera with this orientation; the truth is of the upright photo."""
    stored = np.ascontiguousarray(_STORED[orientation](scene.photo))
    exif = Image.Exif()
    exif[0x0112] = orientation
    buffer = io.BytesIO()
    Image.fromarray(stored).save(buffer, "JPEG", quality=QUALITY, exif=exif)
    return Variant(buffer.getvalue(), scene.marked)


def _plain(scene: Scene, photo: Any) -> Variant:
    return Variant(jpeg(photo, QUALITY), scene.marked)


VARIANTS: dict[str, Callable[[Scene], Variant]] = {
    UNTOUCHED: lambda scene: _plain(scene, scene.photo),
    **{
        f"close-up {share:.0%}, {side} px": partial(close_up, share=share, side=side)
        for share, side in (
            *((share, SIDE) for share in (0.5, 0.7, 0.8, 0.9, 0.95)),
            *((0.95, side) for side in (112, 320, 1600)),
        )
    },
    **{f"small, {size} px high": partial(small, pixels=size) for size in (48, 32, 24, 16, 12, 8)},
    **{
        f"rotated {angle}°": partial(rotated, degrees=angle)
        for angle in (15, 30, 45, 60, 90, 135, 180, 270)
    },
    **{f"low light, {light:.0%}": partial(low_light, light=light) for light in (0.1, 0.03, 0.01)},
    **{f"blur, sigma {s:.0%} of the face": partial(blurred, share=s) for s in (0.03, 0.06, 0.1)},
    **{f"motion, {s:.0%} of the face": partial(motion, share=s) for s in (0.1, 0.2, 0.4)},
    **{f"noise, sigma {sigma}": partial(noisy, sigma=sigma) for sigma in (20, 40, 80)},
    **{f"JPEG quality {quality}": partial(compressed, quality=quality) for quality in (20, 10, 5)},
    "grayscale": grayscale,
    **{
        f"cut {lost:.0%} at the {side}": partial(at_border, side=side, lost=lost)
        for lost in (0.1, 0.25, 0.4)
        for side in ("left", "right", "top", "bottom")
    },
    **{f"EXIF orientation {way}": partial(oriented, orientation=way) for way in range(1, 9)},
}
