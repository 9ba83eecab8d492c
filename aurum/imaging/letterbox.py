"""A photo of any size to the detector's input: shrunk, never stretched, padded to whole cells."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from aurum.contract import STRIDE

CELL = STRIDE  # the coarsest stride of the detectors
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
        long_side: the most pixels of the longer side.

    Returns:
        Letterbox with image uint8 [H, W, 3] and scale float32 [2]. The image is `photo` itself
        where nothing has to be done.
    """
    inner = fit(photo, long_side)
    scale = np.array(inner.shape[1::-1], np.float32) / photo.shape[1::-1]
    return Letterbox(pad(inner), scale.astype(np.float32))


def fit(photo: NDArray[np.uint8], long_side: int) -> NDArray[np.uint8]:
    """`photo` uint8 [height,width,3] as large as the detector sees it; itself where it is so."""
    height, width = photo.shape[:2]
    factor = fitted(max(height, width), long_side) / max(height, width)
    if factor == 1.0:
        return photo
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    # Beyond a factor of two linear interpolation would skip pixels.
    method = cv2.INTER_LINEAR if factor >= 0.5 else cv2.INTER_AREA
    return np.asarray(cv2.resize(photo, size, interpolation=method), np.uint8)


def pad(inner: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """`inner` uint8 [height,width,3] in whole cells, black to the right and below."""
    height, width = inner.shape[:2]
    shape = (whole_cells(height), whole_cells(width), 3)
    if shape == inner.shape:
        return inner
    image = np.zeros(shape, np.uint8)
    image[:height, :width] = inner
    return image


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
    return -(-int(np.ceil(side - 1e-6)) // CELL) * CELL
