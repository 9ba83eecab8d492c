"""Face alignment: cutting faces out in the pose and size that embedders are trained on."""

from __future__ import annotations

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
    source = landmarks.astype(np.float64) @ (1, 1j)
    target = TEMPLATE.astype(np.float64) @ (1, 1j)
    source_mean, target_mean = source.mean(), target.mean()
    source, target = source - source_mean, target - target_mean
    spread = float(np.vdot(source, source).real)
    if not spread > _MIN_SPREAD**2:
        raise ValueError(f"the landmarks {landmarks.tolist()} lie in one point")
    factor = np.vdot(source, target) / spread
    shift = target_mean - factor * source_mean
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
    crops = np.zeros((len(matrices), SIDE, SIDE, 3), np.uint8)
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
    crops = np.zeros((len(matrices), SECOND_SIDE, SECOND_SIDE, 3), np.uint8)
    matrices = matrices * _SECOND_SCALE
    matrices[:, :, 2] += _SECOND_SHIFT
    for crop, matrix in zip(crops, matrices, strict=True):
        _warp(photo, matrix, crop)
    return crops, matrices


def map_back(points: NDArray[np.float32], matrices: NDArray[np.float64]) -> NDArray[np.float32]:
    """Map points [F,n,2] from crops to the photo, by inverting the crops' matrices [F,2,3]."""
    inverse = np.linalg.inv(matrices[:, :, :2]).transpose(0, 2, 1)
    return np.asarray((points - matrices[:, None, :, 2]) @ inverse, np.float32)


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
    factor = max(1, int(1 / np.hypot(matrix[0, 0], matrix[1, 0])))
    inverse = cv2.invertAffineTransform(matrix)
    side = len(crop)
    corners = np.array([[0, 0, 1], [side, 0, 1], [0, side, 1], [side, side, 1]]) @ inverse.T
    height, width = photo.shape[:2]
    left, top = np.clip(np.floor(corners.min(axis=0)) - factor, 0, (width - 1, height - 1))
    right, bottom = np.ceil(corners.max(axis=0)) + factor
    right, bottom = np.clip((right, bottom), (left + 1, top + 1), (width, height))
    part = photo[int(top) : int(bottom), int(left) : int(right)]
    small_width = -(-part.shape[1] // factor)
    small_height = -(-part.shape[0] // factor)
    small = part
    if factor > 1:
        small = cv2.resize(part, (small_width, small_height), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    ratio = np.array([part.shape[1] / small_width, part.shape[0] / small_height])
    # Pixel centres: x in the photo = left + (x_small + 0.5) * ratio - 0.5.
    shift = (left, top) + 0.5 * ratio - 0.5
    linear = matrix[:, :2] * ratio
    moved = np.column_stack([linear, matrix[:, :2] @ shift + matrix[:, 2]])
    cv2.warpAffine(small, moved, (side, side), dst=crop, flags=cv2.INTER_LINEAR)
