"""The detector's views of a photo: which parts, at what scale, and at what rotation.

A "look" is one pass of the detector over one view. A look at the whole photo finds faces from about
10 to about 700 pixels of the detector's input. Larger faces need a coarser look, smaller ones a
finer look at parts of the photo.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from aurum.contract import MAX_TILES
from aurum.imaging.faces import WHOLE, Candidates, Faces, select_faces
from aurum.imaging.letterbox import CELL, SMALLEST, fit, fitted, pad, whole_cells

TURNS = (90, 180, 270)  # degrees clockwise
# A photo whose long side is more than this many times its short side is divided into tiles, twice
# as long as the short side.
LONG = 2.5
# Upper limit of the input's longer side, pixels, as the detector's memory grows with its input. A
# larger view is split into parts that overlap by _OVERLAP pixels.
LARGEST = 1280
_OVERLAP = 256
# Tiles overlap by the size of faces that the look at the whole photo finds, pixels of its input.
_TILE_OVERLAP = 32
# A face is cut by a view's border if its box comes this near to it, pixels of the input.
_CUT_MARGIN = 4

_ROTATE: dict[int, Callable[[Any], Any]] = {
    0: lambda image: image,
    90: lambda image: cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE),
    180: lambda image: cv2.rotate(image, cv2.ROTATE_180),
    270: lambda image: cv2.rotate(image, cv2.ROTATE_90_COUNTERCLOCKWISE),
}


class View(NamedTuple):
    """A part of the photo, and its scale and rotation in the detector's input."""

    left: int  # pixels of the photo; right and bottom are exclusive
    top: int
    right: int
    bottom: int
    long_side: int  # upper limit of the input's longer side, pixels
    turn: int = 0  # clockwise rotation, degrees

    @property
    def side(self) -> int:
        """The longer side in pixels of the photo."""
        return max(self.right - self.left, self.bottom - self.top)

    @property
    def input_side(self) -> int:
        """The longer side in pixels of the detector's input."""
        return fitted(self.side, self.long_side)

    @property
    def scale(self) -> float:
        """Pixels of the input per pixel of the photo."""
        return self.input_side / self.side

    @property
    def work(self) -> float:
        """Number of pixels in the detector's input."""
        width, height = self.right - self.left, self.bottom - self.top
        return whole_cells(width * self.scale) * whole_cells(height * self.scale)

    def turned(self, turn: int, shrink: float) -> View:
        """Return the same part, rotated by `turn` degrees, at most `shrink` times as large."""
        if shrink == 1:
            return self._replace(turn=turn)
        long_side = int(self.input_side * shrink) // CELL * CELL
        return self._replace(long_side=max(CELL, long_side), turn=turn)


class Plan(NamedTuple):
    """The views of a photo, for one rotation of it."""

    # A level's views have one scale and together cover the photo. The finest level comes first.
    levels: list[list[View]]
    complete: bool  # False: the photo's shape needs more tiles than MAX_TILES

    @property
    def finest(self) -> View:
        """One of the finest views, which all have the same size."""
        return self.levels[0][0]

    @property
    def work(self) -> float:
        """Number of pixels in all of the detector's inputs."""
        return sum(view.work for level in self.levels for view in level)

    def turned(self, turn: int, shrink: float) -> Plan:
        """Return a plan of the finest views, rotated by `turn` degrees, `shrink` times as large."""
        return Plan([[view.turned(turn, shrink) for view in self.levels[0]]], self.complete)


def plan(size: tuple[int, int], detection_size: int, tiles: int) -> Plan:
    """Plan the views of an unrotated photo.

    They are the whole photo at `detection_size`; if that is more than WHOLE pixels, again at
    SMALLEST, for faces that are too large for the first view; and, as a finer level, the tiles,
    each at `detection_size`.

    Args:
        size: width and height of the photo, pixels.
        detection_size: upper limit of the longer side of a view's input, pixels.
        tiles: number of tiles; 0: as many as the photo's shape needs, 1: none.
    """
    width, height = size
    whole = View(0, 0, width, height, detection_size)
    side = whole.input_side
    levels = [[whole]]
    if side > LARGEST:
        levels.append([whole._replace(long_side=whole_cells(side / 2))])
    if side > WHOLE:
        levels.append([whole._replace(long_side=SMALLEST)])
    finer, complete = _tiles(whole, tiles)
    if finer:
        levels.insert(0, finer)
    return Plan([[part for view in level for part in _split(view)] for level in levels], complete)


class ImagePyramid:
    """A decoded photo and copies of it in the smaller sizes that were needed so far.

    A smaller look starts from the nearest copy, because shrinking a photo of a million pixels by a
    fractional factor takes as long as a small look itself.
    """

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        """`pixels` is uint8 RGB [height,width,3]."""
        self.pixels = pixels
        self._whole = [pixels]  # smallest first

    def resized(self, view: View) -> NDArray[np.uint8]:
        """Return the view's part at the view's scale, uint8 RGB, neither rotated nor padded."""
        part = self.pixels[view.top : view.bottom, view.left : view.right]
        if part.shape != self.pixels.shape:
            return fit(part, view.long_side)
        target = view.input_side
        large = (copy for copy in self._whole if max(copy.shape) >= target)
        inner = fit(next(large, part), target)
        if max(inner.shape) < max(self._whole[0].shape):
            self._whole.insert(0, inner)
        return inner


def look(
    pyramid: ImagePyramid,
    view: View,
    detect: Callable[[NDArray[np.uint8]], Candidates],
    min_confidence: float,
    nms_iou: float,
) -> Faces:
    """Find the faces in one view, in the photo's pixels, largest first.

    Faces that are cut by a border of the view inside the photo are left out.

    Args:
        pyramid: the photo.
        view: the part of it to look at.
        detect: the detector, which takes a letterboxed image uint8 RGB [H,W,3].
        min_confidence: the lowest score of a face, 0..1.
        nms_iou: IoU above which the weaker of two boxes is dropped.
    """
    inner = pyramid.resized(view)
    height, width = inner.shape[:2]
    seen = inner if view.turn == 0 else _ROTATE[view.turn](inner)
    found = detect(pad(seen))
    if view.turn:
        found = _turn_back(found, view.turn, width, height)
    across, down = view.right - view.left, view.bottom - view.top
    scale = np.array([width / across, height / down], np.float32)
    faces = select_faces(found, scale, min_confidence, nms_iou)
    if view.turn:
        faces.rotations[:] = view.turn
    high, wide = pyramid.pixels.shape[:2]
    if (across, down) == (wide, high):
        return faces
    faces.boxes[:, :2] += (view.left, view.top)
    faces.landmarks[:] += (view.left, view.top)
    return faces.take(_uncut(faces.boxes, view, wide, high))


def _uncut(boxes: NDArray[np.float32], view: View, width: int, height: int) -> NDArray[np.bool_]:
    near = _CUT_MARGIN / view.scale
    start, end = boxes[:, :2], boxes[:, :2] + boxes[:, 2:]
    cut = np.zeros(len(boxes), bool)
    if view.left > 0:
        cut |= start[:, 0] < view.left + near
    if view.top > 0:
        cut |= start[:, 1] < view.top + near
    if view.right < width:
        cut |= end[:, 0] > view.right - near
    if view.bottom < height:
        cut |= end[:, 1] > view.bottom - near
    return ~cut


def _turn_back(found: Candidates, turn: int, width: int, height: int) -> Candidates:
    """Map candidates from an image rotated clockwise back to the original of that size."""
    # Pixel centres are whole numbers, so 0 is mapped to width - 1.
    matrix, shift = {
        90: ([[0, -1], [1, 0]], (0, height - 1)),
        180: ([[-1, 0], [0, -1]], (width - 1, height - 1)),
        270: ([[0, 1], [-1, 0]], (width - 1, 0)),
    }[turn]
    turned, moved = np.array(matrix, np.float32), np.array(shift, np.float32)
    one, other = (
        corner @ turned + moved
        for corner in (found.boxes[:, :2], found.boxes[:, :2] + found.boxes[:, 2:])
    )
    boxes = np.concatenate([np.minimum(one, other), np.abs(other - one)], axis=1)
    return Candidates(boxes, found.landmarks @ turned + moved, found.scores)


def _tiles(whole: View, wanted: int) -> tuple[list[View], bool]:
    """The tiles, at most MAX_TILES, and whether these are enough.

    There are none if they would show no more detail than the whole photo does.
    """
    width, height = whole.right, whole.bottom
    long, short = max(width, height), min(width, height)
    if long <= whole.long_side:
        return [], True
    overlap = max(1, round(_TILE_OVERLAP / whole.scale))
    if wanted > 1:
        columns, rows = _grid(width, height, wanted)
        return list(_cover(whole, columns, rows, overlap)), True
    if wanted == 1 or long <= LONG * short:
        return [], True
    tile = max(2 * short, whole.long_side)
    overlap = min(overlap, short)
    needed = -(-(long - overlap) // max(1, tile - overlap))
    count = min(needed, MAX_TILES)
    columns, rows = (count, 1) if width >= height else (1, count)
    return list(_cover(whole, columns, rows, overlap)), count == needed


def _grid(width: int, height: int, count: int) -> tuple[int, int]:
    """Columns and rows of at most `count` tiles that minimize the tiles' longer side."""
    grids = [(columns, count // columns) for columns in range(1, count + 1)]
    return min(grids, key=lambda grid: (max(width / grid[0], height / grid[1]), grid[0] * grid[1]))


def _cover(view: View, columns: int, rows: int, overlap: int) -> Iterator[View]:
    for top, bottom in _spans(view.top, view.bottom, rows, overlap):
        for left, right in _spans(view.left, view.right, columns, overlap):
            yield view._replace(left=left, top=top, right=right, bottom=bottom)


def _spans(start: int, end: int, count: int, overlap: int) -> Iterator[tuple[int, int]]:
    """`count` spans of equal length from `start` to `end`, each overlapping the next."""
    length = end - start
    # Neighbours overlap by at most half, as more tiles would then show little more detail.
    span = min(length, -(-(length + min(overlap, length // (count + 1)) * (count - 1)) // count))
    for index in range(count):
        at = start + (length - span) * index // max(count - 1, 1)
        yield at, at + span


def _split(view: View) -> Iterator[View]:
    """Split a view whose input would exceed LARGEST into parts of the same scale."""
    scale = view.scale
    # Rounded, because 2900 * (1280 / 2900) is more than 1280 in floating point.
    sides = [round(side * scale, 6) for side in (view.right - view.left, view.bottom - view.top)]
    columns, rows = (
        1 if side <= LARGEST else int(np.ceil((side - _OVERLAP) / (LARGEST - _OVERLAP)))
        for side in sides
    )
    for part in _cover(view, columns, rows, round(_OVERLAP / scale)):
        yield part._replace(long_side=whole_cells(round(part.side * scale, 6)))
