"""Approximate head pose (yaw, pitch, roll) from five facial landmarks."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from aurum.imaging.align import TEMPLATE

# Seen from the front, the five points lie as in the template, here made symmetrical. Their depth,
# as a fraction of the distance between the eyes, is that of the generic head in OpenCV's examples
# (Mallick, "Head pose estimation using OpenCV and dlib", 2016: the tip of the nose is 135 units in
# front of the eyes, the corners of the mouth 10). Its pupils are about 330 units apart.
_EYES = float(TEMPLATE[1, 0] - TEMPLATE[0, 0])
_MIRRORED = TEMPLATE[[1, 0, 2, 4, 3]] * (-1, 1) + (2 * TEMPLATE[:, 0].mean(), 0)
_DEPTH = np.array([0, 0, 135, 10, 10]) / 330 * _EYES
HEAD = np.column_stack([(TEMPLATE + _MIRRORED) / 2, _DEPTH])
HEAD -= HEAD.mean(axis=0)
# Landmarks [2,5] times this matrix are the least-squares affine map [2,3] from head to photo.
_TO_MAP = np.linalg.pinv(HEAD.T)
# The map and a shift explain all of five points but one direction, [5] of length 1, which is
# orthogonal to HEAD's columns and to constants.
_UNEXPLAINED = np.linalg.svd(np.column_stack([HEAD, np.ones(5)]).T)[2][4]


def residuals(landmarks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Fit an affine map of `HEAD` to landmarks [F,5,2]; return the RMS residuals, float64 [F]."""
    across, down = (_UNEXPLAINED @ landmarks).T
    return np.asarray(np.hypot(across, down) / math.sqrt(5))


def rotations(landmarks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Estimate each head's rotation matrix; the identity where all landmarks coincide.

    Uses scaled orthographic projection, as the first step of POSIT does (DeMenthon and Davis,
    "Model-based object pose in 25 lines of code", 1995): the least-squares affine map from `HEAD`,
    then the two orthonormal rows nearest to it, by singular value decomposition.

    Args:
        landmarks: float64 [F,5,2], finite; x to the right, y down.

    Returns:
        float64 [F,3,3]; x to the right, y down, z towards the camera.
    """
    affine = landmarks.transpose(0, 2, 1) @ _TO_MAP
    return np.array([_rotation(face) for face in affine]).reshape(-1, 3, 3)


def _rotation(affine: NDArray[np.float64]) -> list[list[float]]:
    """The rotation matrix whose first two rows are the orthonormal ones nearest to `affine` [2,3].

    For a map A, these are (A A')^(-1/2) A, and the root of a 2x2 matrix M is (M + d I) / t, where
    d^2 is its determinant and t^2 its trace plus 2 d. In plain numbers: NumPy takes longer to
    handle six of them than to compute.
    """
    if np.abs(affine).max() < 1e-6:
        affine = np.eye(2, 3)
    one, other = affine.tolist()
    first, second = sum(x * x for x in one), sum(x * x for x in other)
    both = sum(x * y for x, y in zip(one, other, strict=True))
    root = math.sqrt(max(first * second - both * both, 0))
    if root < 1e-6 * (first + second):  # landmarks on a line: any turn around it would do
        left, _, right = np.linalg.svd(affine, full_matrices=False)
        one, other = (left @ right).tolist()
    else:
        scale = 1 / (root * math.sqrt(first + second + 2 * root))
        one, other = (
            [((second + root) * x - both * y) * scale for x, y in zip(one, other, strict=True)],
            [((first + root) * y - both * x) * scale for x, y in zip(one, other, strict=True)],
        )
    (a, b, c), (d, e, f) = one, other
    return [one, other, [b * f - c * e, c * d - a * f, a * e - b * d]]


def angles(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert rotations [F,3,3] to yaw, pitch and roll in degrees, float64 [F,3].

    The head turns by yaw first, then by pitch, then by roll:

    - yaw, -180..180: positive when it looks to the photo's right;
    - pitch, -90..90: positive when it looks up;
    - roll, -180..180: positive when it leans clockwise in the photo.
    """
    turns = [_angles(face) for face in rotation.tolist()]
    return np.asarray(np.degrees(np.array(turns).reshape(-1, 3)))


def _angles(rotation: list[list[float]]) -> tuple[float, float, float]:
    (_, b, _), (_, e, _), (g, h, i) = rotation
    return math.atan2(-g, i), math.asin(min(max(h, -1), 1)), math.atan2(-b, e)
