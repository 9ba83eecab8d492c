"""A photo of any size to the detector's input: shrunk, never stretched, padded to whole cells."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

CELL = 32  # the coarsest stride of the detectors
# Smaller photos are enlarged to this: of faces a few cells high, more are found.
SMALLEST = 320


class Letterbox(NamedTuple):
    """The padded image, and how many of its pixels one of the photo's is, per axis (x, y)."""

    image: NDArray[np.uint8]
    scale: NDArray[np.float32]


def letterbox(photo: NDArray[np.uint8], long_side: int) -> Letterbox:
    """Fit `photo` into `long_side` pixels; the rest, right and below, is black.

    A smaller photo keeps its size, but for those below SMALLEST. The sides are multiples of 32,
    so that photos of like shape make equal inputs, which Triton can batch.

    Args:
        photo: uint8 [height, width, 3].
        long_side: the most pixels of the longer side, a multiple of 32.

    Returns:
        Letterbox with image uint8 [H, W, 3] and scale float32 [2].
    """
    height, width = photo.shape[:2]
    factor = fitted(max(height, width), long_side) / max(height, width)
    inner_width = max(1, round(width * factor))
    inner_height = max(1, round(height * factor))
    image = np.zeros((whole_cells(inner_height), whole_cells(inner_width), 3), np.uint8)
    inner = image[:inner_height, :inner_width]
    if factor == 1.0:
        inner[:] = photo
    else:
        # Beyond a factor of two linear interpolation would skip pixels.
        method = cv2.INTER_LINEAR if factor >= 0.5 else cv2.INTER_AREA
        cv2.resize(photo, (inner_width, inner_height), dst=inner, interpolation=method)
    return Letterbox(image, np.array([inner_width / width, inner_height / height], np.float32))


def fitted(side: int, long_side: int) -> int:
    """How many pixels of the input a photo's longer side gets."""
    return min(long_side, max(side, SMALLEST))


def planar(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """uint8 [H,W,3] -> [3,H,W], as detectors want it: a graph would need five times as long."""
    planes = np.empty((3, *image.shape[:2]), np.uint8)
    cv2.split(image, list(planes))
    return planes


def whole_cells(side: float) -> int:
    """`side` as a multiple of CELL, rounded up."""
    return -(-int(np.ceil(side)) // CELL) * CELL
