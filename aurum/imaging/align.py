"""Face alignment: cutting faces out in the pose and size that embedders are trained on."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray

from aurum.contract import CROP_SIDE, SECOND_LOOK_SIDE

SIDE = CROP_SIDE
# The positions of the five landmarks in an aligned crop, x and y: InsightFace's `arcface_dst`, with
# which ArcFace (Deng et al., 2019) and its successors, such as EdgeFace, are trained.
TEMPLATE = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ],
    np.float32,
)
# The side of a crop for a second look, in pixels, and the share of it that the template's square
# spans, in the middle. Chosen by measurements on LFW (docs/reports/accuracy.md).
SECOND_SIDE = SECOND_LOOK_SIDE
_SECOND_SHARE = 0.72
_SECOND_SCALE = _SECOND_SHARE * SECOND_SIDE / SIDE
_SECOND_SHIFT = (1 - _SECOND_SHARE) / 2 * SECOND_SIDE
# The expected landmarks in a crop for a second look, [5,2].
SECOND_TEMPLATE = np.asarray(TEMPLATE * _SECOND_SCALE + _SECOND_SHIFT, np.float32)
# The template's centre, and its points from there, as complex numbers.
_CENTRE = complex(*TEMPLATE.astype(float).mean(axis=0))
_CENTRED = [complex(x, y) - _CENTRE for x, y in TEMPLATE.tolist()]
# Landmarks with a smaller spread than this (pixels) are degenerate: enlarging them amplifies noise.
_MIN_SPREAD = 0.5


def similarity(landmarks: NDArray[np.float32]) -> NDArray[np.float64]:
    """Fit the least-squares similarity transform from landmarks [5,2] to the template.

    Umeyama, "Least-squares estimation of transformation parameters between two point patterns"
    (1991), without reflection. In the plane, rotation and scale are one complex factor, so this is
    a one-dimensional regression.

    Returns:
        float64 [2,3].

    Raises:
        ValueError: the landmarks coincide, which leaves the scale undetermined.
    """
    # Plain numbers: NumPy takes longer to handle five points than to compute with them.
    source = [complex(x, y) for x, y in landmarks.tolist()]
    mean = sum(source) / len(source)
    source = [point - mean for point in source]
    spread = sum(point.real**2 + point.imag**2 for point in source)
    if not spread > _MIN_SPREAD**2:
        raise ValueError(f"the landmarks {landmarks.tolist()} lie in one point")
    pairs = zip(source, _CENTRED, strict=True)
    factor = sum(point.conjugate() * target for point, target in pairs) / spread
    shift = _CENTRE - factor * mean
    return np.array(
        [[factor.real, -factor.imag, shift.real], [factor.imag, factor.real, shift.imag]]
    )


def crop_matrices(
    boxes: NDArray[np.float32], landmarks: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Compute the matrices that map a photo to its faces' aligned crops.

    Args:
        boxes: float32 [F,4], used where landmarks are degenerate.
        landmarks: float32 [F,5,2].

    Returns:
        float64 [F,2,3].
    """
    matrices = [_matrix(*face) for face in zip(boxes, landmarks, strict=True)]
    return np.array(matrices).reshape(-1, 2, 3)


def align(
    photo: NDArray[np.uint8], boxes: NDArray[np.float32], landmarks: NDArray[np.float32]
) -> NDArray[np.uint8]:
    """Cut out every face, rotated and scaled to the template; black outside the photo.

    Args:
        photo: uint8 RGB [height, width, 3].
        boxes: float32 [F,4], used where landmarks are degenerate.
        landmarks: float32 [F,5,2].

    Returns:
        uint8 RGB [F,112,112,3].
    """
    return cut(photo, crop_matrices(boxes, landmarks))


def cut(photo: NDArray[np.uint8], matrices: NDArray[np.float64]) -> NDArray[np.uint8]:
    """Cut out every face as `align` does, with the matrices [F,2,3] of `crop_matrices`."""
    crops = np.empty((len(matrices), SIDE, SIDE, 3), np.uint8)
    for crop, matrix in zip(crops, matrices, strict=True):
        _warp(photo, matrix, crop)
    return crops


def cut_for_second_look(
    photo: NDArray[np.uint8], matrices: NDArray[np.float64]
) -> tuple[NDArray[np.uint8], NDArray[np.float64]]:
    """Cut out every face with its surroundings, upright, for a second look of the detector.

    Args:
        photo: uint8 RGB [height, width, 3].
        matrices: [F,2,3] of `crop_matrices`.

    Returns:
        The crops, uint8 RGB [F,96,96,3], and the matrices [F,2,3] that map the photo to them.
    """
    crops = np.empty((len(matrices), SECOND_SIDE, SECOND_SIDE, 3), np.uint8)
    matrices = matrices * _SECOND_SCALE
    matrices[:, :, 2] += _SECOND_SHIFT
    for crop, matrix in zip(crops, matrices, strict=True):
        _warp(photo, matrix, crop)
    return crops, matrices


def map_back(points: NDArray[np.float32], matrices: NDArray[np.float64]) -> NDArray[np.float32]:
    """Map points [F,n,2] from crops to the photo, by inverting the crops' matrices [F,2,3]."""
    linear = matrices[:, :, :2]
    # The inverse of a rotation that scales by s is its transpose, divided by s squared.
    squared = np.square(linear[:, :, 0]).sum(axis=1)[:, None, None]
    return np.asarray((points - matrices[:, None, :, 2]) @ linear / squared, np.float32)


def pixels_per_crop_pixel(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute how many of the photo's pixels one pixel of a crop spans, per side, float64 [F]."""
    return np.asarray(1 / np.hypot(matrices[:, 0, 0], matrices[:, 1, 0]))


def pixels_per_second_look_pixel(matrices: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the same as `pixels_per_crop_pixel` for the crops of `cut_for_second_look`."""
    return pixels_per_crop_pixel(matrices) / _SECOND_SCALE


def _matrix(box: NDArray[np.float32], points: NDArray[np.float32]) -> NDArray[np.float64]:
    try:
        return similarity(points)
    except ValueError:
        return _from_box(box)


def _from_box(box: NDArray[np.float32]) -> NDArray[np.float64]:
    """The matrix [2,3] of the square around the box's centre, without rotation."""
    x, y, width, height = box.astype(np.float64)
    scale = SIDE / max(width, height, 1.0)
    return np.array(
        [
            [scale, 0, SIDE / 2 - scale * (x + width / 2)],
            [0, scale, SIDE / 2 - scale * (y + height / 2)],
        ]
    )


def _warp(photo: NDArray[np.uint8], matrix: NDArray[np.float64], crop: NDArray[np.uint8]) -> None:
    """Warp by `matrix` (photo -> crop) into a square `crop`, without aliasing.

    Bilinear sampling alone would skip pixels of a face more than twice the crop's size. Such a face
    is first shrunk by a whole factor with area averaging. Only the face's part of the photo is
    read, also because OpenCV can't warp images with a side of 32767 pixels or more.
    """
    # Plain numbers: NumPy takes longer to handle a few values than to compute them.
    (a, b, x), (c, d, y) = matrix.tolist()
    factor = max(1, int(1 / math.hypot(a, c)))
    side = len(crop)
    ((e, f, u), (g, h, v)) = cv2.invertAffineTransform(matrix).tolist()
    ends = (0, e * side), (0, f * side), (0, g * side), (0, h * side)
    height, width = photo.shape[:2]
    left, right = _span(u + sum(map(min, ends[:2])), u + sum(map(max, ends[:2])), factor, width)
    top, bottom = _span(v + sum(map(min, ends[2:])), v + sum(map(max, ends[2:])), factor, height)
    small = part = photo[top:bottom, left:right]
    if factor > 1:
        size = -(-(right - left) // factor), -(-(bottom - top) // factor)
        small = cv2.resize(part, size, interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    across, down = (right - left) / small.shape[1], (bottom - top) / small.shape[0]
    # Pixel centres: x in the photo = left + (x_small + 0.5) * across - 0.5.
    start, above = left + 0.5 * across - 0.5, top + 0.5 * down - 0.5
    moved = np.array(
        [
            [a * across, b * down, a * start + b * above + x],
            [c * across, d * down, c * start + d * above + y],
        ]
    )
    cv2.warpAffine(small, moved, (side, side), dst=crop, flags=cv2.INTER_LINEAR)


def _span(start: float, end: float, margin: int, length: int) -> tuple[int, int]:
    """Widen a span by a margin to whole pixels, within a photo's width or height."""
    first = min(max(math.floor(start) - margin, 0), length - 1)
    return first, min(max(math.ceil(end) + margin, first + 1), length)
