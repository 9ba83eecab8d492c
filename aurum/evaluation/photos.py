"""Read, turn and encode photos, and generate some that differ only in their number of faces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from aurum.evaluation import ValidationError
from aurum.imaging.decoding.decode import decode
from aurum.imaging.decoding.refusal import InvalidImageError

COUNTS = (0, 1, 5, 36)
GRID = 6  # tiles in a row and in a column
SIDE = 640  # pixels: the detector's default input, so nothing is shrunk
TILE = SIDE // GRID
_BLOCK = 13  # pixels; in larger blocks YuNet still sees faces
# The head in aurum/assets/astronaut.jpg.
HEAD = (slice(30, 200), slice(135, 305))


def read(path: Path) -> NDArray[np.uint8]:
    """Decode a photo of any size like the service, as RGB [height,width,3].

    Raises ValidationError and OSError.
    """
    try:
        return decode(path.read_bytes(), 1 << 31, 1 << 31)
    except InvalidImageError as error:
        raise ValidationError(f"{path}: {error}") from None


def tiled(photo: Path, counts: Sequence[int] = COUNTS) -> dict[int, bytes]:
    """Return a JPEG for each of `counts`, the number of tiles with the astronaut's head.

    The other tiles are the same head in shuffled blocks: not a face, but as much to decode.
    """
    astronaut = np.asarray(cv2.imread(str(photo), cv2.IMREAD_COLOR), np.uint8)
    head = cv2.resize(astronaut[HEAD], (TILE, TILE), interpolation=cv2.INTER_AREA)
    rest = _shuffled(np.asarray(head, np.uint8))
    photos = {}
    for count in counts:
        canvas = np.full((SIDE, SIDE, 3), 127, np.uint8)
        for index in range(GRID * GRID):
            top, left = (TILE * place for place in divmod(index, GRID))
            canvas[top : top + TILE, left : left + TILE] = head if index < count else rest
        photos[count] = cv2.imencode(".jpg", canvas, [cv2.IMWRITE_JPEG_QUALITY, 90])[1].tobytes()
    return photos


def jpeg(photo: NDArray[Any], quality: int) -> bytes:
    """Encode an RGB photo [height,width,3] as JPEG."""
    return cv2.imencode(".jpg", photo[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


def rotated(
    photo: NDArray[np.uint8], degrees: float, move: tuple[int, int] = (0, 0)
) -> NDArray[np.uint8]:
    """Turn a photo counterclockwise about its centre, and move it by pixels right and down.

    A multiple of 90 degrees without a move keeps the exact pixels. Otherwise the photo keeps its
    size, and its empty corners are filled by reflection.
    """
    if degrees % 90 == 0 and move == (0, 0):
        return np.ascontiguousarray(np.rot90(photo, int(degrees) // 90))
    height, width = photo.shape[:2]
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), degrees, 1.0)
    matrix[:, 2] = matrix[:, 2] + move
    turned = cv2.warpAffine(photo, matrix, (width, height), borderMode=cv2.BORDER_REFLECT_101)
    return np.asarray(turned, np.uint8)


def _shuffled(tile: NDArray[np.uint8]) -> NDArray[np.uint8]:
    starts = [
        (top, left)
        for top in range(0, TILE - _BLOCK + 1, _BLOCK)
        for left in range(0, TILE - _BLOCK + 1, _BLOCK)
    ]
    mixed = tile.copy()
    order = np.random.default_rng(0).permutation(len(starts))
    for (top, left), index in zip(starts, order, strict=True):
        y, x = starts[index]
        mixed[top : top + _BLOCK, left : left + _BLOCK] = tile[y : y + _BLOCK, x : x + _BLOCK]
    return mixed
