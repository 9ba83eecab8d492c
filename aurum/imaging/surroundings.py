"""Crops of faces with their surroundings, as the liveness networks are trained on them."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from aurum.contract import LIVENESS_SIDE

# How many times as wide and high as the face's box each network's crop is (Minivision, 2020).
SCALES = (2.7, 4.0)


def pixels_per_pixel(boxes: NDArray[np.float32], scale: float) -> NDArray[np.float32]:
    """Compute how many of the photo's pixels one pixel of a crop spans at most, per side, [F].

    Args:
        boxes: float32 [F,4].
        scale: the crops' sides, in sides of the boxes.
    """
    return np.asarray(boxes[:, 2:].max(axis=1) * (scale / LIVENESS_SIDE), np.float32)


def cut(
    photo: NDArray[np.uint8],
    boxes: NDArray[np.float32],
    rotations: NDArray[np.int32],
    scale: float,
) -> NDArray[np.uint8]:
    """Cut out each face's surroundings, upright, stretched to a square.

    A crop is centred on the face's box, but stays inside the photo: it is moved, and smaller where
    the photo is. The pixels are sampled without averaging, as in training. With averaging, which
    takes away the texture that the networks look at, 5 % more of LFW's faces are taken for photos.

    Args:
        photo: uint8 RGB [height, width, 3].
        boxes: float32 [F,4] x, y, width, height in pixels of the photo.
        rotations: int32 [F]: degrees clockwise that make each face upright, multiples of 90.
        scale: the crops' sides, in sides of the boxes.

    Returns:
        uint8 RGB [F,80,80,3].
    """
    crops = np.empty((len(boxes), LIVENESS_SIDE, LIVENESS_SIDE, 3), np.uint8)
    for crop, box, rotation in zip(crops, boxes, rotations, strict=True):
        left, top, right, bottom = _region(photo, box.astype(np.float64), scale)
        part = photo[top:bottom, left:right]
        resized = cv2.resize(part, (LIVENESS_SIDE, LIVENESS_SIDE), interpolation=cv2.INTER_LINEAR)
        crop[:] = np.rot90(resized, -(rotation // 90))
    return crops


def _region(photo: NDArray[np.uint8], box: NDArray[np.float64], scale: float) -> list[int]:
    """Return the left, top, right and bottom of a crop; right and bottom are exclusive."""
    height, width = photo.shape[:2]
    last = np.array([width - 1, height - 1])
    sides = np.maximum(box[2:], 1)
    reach = sides * min(scale, *(last / sides))
    start = np.clip(box[:2] + box[2:] / 2 - reach / 2, 0, last - reach)
    return [int(edge) for edge in (*start, *(start + reach + 1))]
