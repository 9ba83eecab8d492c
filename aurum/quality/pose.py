"""How a head is turned, roughly, from its five landmarks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aurum.imaging.align import TEMPLATE

# Seen from the front the five points lie as in the template, here made symmetrical. Their depth, in
# shares of the distance between the eyes, is that of the generic head that OpenCV's examples pose
# (Mallick, "Head pose estimation using OpenCV and dlib", 2016: the tip of the nose 135 units before
# the eyes, the corners of the mouth 10), whose pupils are about 330 units apart.
_EYES = float(TEMPLATE[1, 0] - TEMPLATE[0, 0])
_MIRRORED = TEMPLATE[[1, 0, 2, 4, 3]] * (-1, 1) + (2 * TEMPLATE[:, 0].mean(), 0)
_DEPTH = np.array([0, 0, 135, 10, 10]) / 330 * _EYES
HEAD = np.column_stack([(TEMPLATE + _MIRRORED) / 2, _DEPTH])
HEAD -= HEAD.mean(axis=0)
# Landmarks [2,5] times this are the least-squares affine map [2,3] from the head to the photo.
_TO_MAP = np.linalg.pinv(HEAD.T)
# What that map and a shift leave of landmarks [5,2]. The map ignores shifts: HEAD's mean is 0.
_REST = np.eye(5) - 1 / 5 - HEAD @ _TO_MAP.T


def residuals(landmarks: NDArray[np.float64]) -> NDArray[np.float64]:
    """The root mean square distance [F] of landmarks [F,5,2] from their best affine map."""
    rest = _REST @ landmarks
    return np.asarray(np.sqrt(np.square(rest).sum(axis=(1, 2)) / 5))


def rotations(landmarks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Every head's rotation, as a matrix; unturned where the landmarks lie in one point.

    Scaled orthographic projection, as in the first step of POSIT (DeMenthon and Davis, "Model-based
    object pose in 25 lines of code", 1995): the least-squares affine map from `HEAD`, and then the
    two orthonormal rows nearest to it, by singular values.

    Args:
        landmarks: finite [F,5,2], x to the right and y down.

    Returns:
        float64 [F,3,3]; x to the right, y down, z towards the camera.
    """
    affine = landmarks.transpose(0, 2, 1) @ _TO_MAP
    affine[np.abs(affine).max(axis=(1, 2)) < 1e-6] = np.eye(2, 3)
    left, _, right = np.linalg.svd(affine, full_matrices=False)
    rows = left @ right
    # The cross product, without numpy.cross, which takes longer than all the rest.
    (a, b, c), (d, e, f) = rows[:, 0].T, rows[:, 1].T
    third = np.stack([b * f - c * e, c * d - a * f, a * e - b * d], axis=1)
    return np.concatenate([rows, third[:, None]], axis=1)


def angles(rotation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Yaw, pitch and roll in degrees of rotations [F,3,3], as float64 [F,3].

    The head turns by yaw first, then by pitch, then by roll:

    - yaw, -180..180: positive where it looks to the photo's right;
    - pitch, -90..90: positive where it looks up;
    - roll, -180..180: positive where it leans clockwise, as the photo shows it.
    """
    yaw = np.arctan2(-rotation[:, 2, 0], rotation[:, 2, 2])
    pitch = np.arcsin(np.clip(rotation[:, 2, 1], -1, 1))
    roll = np.arctan2(-rotation[:, 0, 1], rotation[:, 1, 1])
    return np.asarray(np.degrees(np.column_stack([yaw, pitch, roll])))
