"""Which parts of a photo the detector looks at, how large, and turned by how much.

One look at the whole photo holds faces from some 10 to some 700 pixels of the detector's input.
What is larger needs a coarser look, what is smaller a finer one, in parts.
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

TURNS = (90, 180, 270)
# A photo longer than this many times its width is looked at in tiles of twice its width.
LONG = 2.5
# The detector's memory grows with its input. A finer look is made in parts of this many pixels,
# which overlap by a fifth where it is the finest that is allowed.
LARGEST = 1280
_OVERLAP = 256
# Faces of this many pixels in the whole photo's look are found there, so tiles overlap by as much.
_SEEN = 32
# How near, in pixels of the input, a box comes to the border that cuts its face.
_CUT = 4

_ROTATE: dict[int, Callable[[Any], Any]] = {
    0: lambda image: image,
    90: lambda image: cv2.rotate(image, cv2.ROTATE_90_CLOCKWISE),
    180: lambda image: cv2.rotate(image, cv2.ROTATE_180),
    270: lambda image: cv2.rotate(image, cv2.ROTATE_90_COUNTERCLOCKWISE),
}


class View(NamedTuple):
    """A part of the photo, and how the detector gets it."""

    left: int
    top: int
    right: int
    bottom: int
    long_side: int  # pixels of the detector's input that its longer side gets, at most
    turn: int = 0  # degrees, clockwise

    @property
    def side(self) -> int:
        """The longer side, pixels of the photo."""
        return max(self.right - self.left, self.bottom - self.top)

    @property
    def input_side(self) -> int:
        """The longer side, pixels of the detector's input."""
        return fitted(self.side, self.long_side)

    @property
    def scale(self) -> float:
        """Pixels of the input for one of the photo's."""
        return self.input_side / self.side

    @property
    def work(self) -> float:
        """Pixels that the detector gets."""
        width, height = self.right - self.left, self.bottom - self.top
        return whole_cells(width * self.scale) * whole_cells(height * self.scale)

    def turned(self, turn: int, shrink: float) -> View:
        """The same part, turned, at no more than `shrink` times the size."""
        if shrink == 1:
            return self._replace(turn=turn)
        long_side = int(self.input_side * shrink) // CELL * CELL
        return self._replace(long_side=max(CELL, long_side), turn=turn)


class Plan(NamedTuple):
    """The looks that a photo gets, for one turn of it."""

    # Views of one scale each, which together show the whole photo; the finest first.
    levels: list[list[View]]
    complete: bool  # False: the photo's shape asks for more tiles than MAX_TILES

    @property
    def finest(self) -> View:
        """One of the finest views, which are alike."""
        return self.levels[0][0]

    @property
    def work(self) -> float:
        """Pixels that the detector gets."""
        return sum(view.work for level in self.levels for view in level)

    def turned(self, turn: int, shrink: float) -> Plan:
        """The finest views, turned, at `shrink` times their size."""
        return Plan([[view.turned(turn, shrink) for view in self.levels[0]]], self.complete)


def plan(size: tuple[int, int], detection_size: int, tiles: int) -> Plan:
    """The looks at a photo of `size` (width, height) that is not turned.

    The whole photo at `detection_size`; if that is more than WHOLE pixels, again at SMALLEST, for
    faces too large for the first; and as a finer level `tiles` parts, each at `detection_size`.
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


class Picture:
    """A decoded photo, and what looks at the whole of it have shrunk it to.

    The next smaller look starts from that: shrinking a photo of a million pixels by a factor that
    is no whole number takes as long as a small look itself.
    """

    def __init__(self, pixels: NDArray[np.uint8]) -> None:
        """`pixels` is uint8 RGB [height,width,3]."""
        self.pixels = pixels
        self._whole = [pixels]  # smallest first

    def shrunk(self, view: View) -> NDArray[np.uint8]:
        """The view's part as the detector sees it, neither turned nor padded."""
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
    picture: Picture,
    view: View,
    detect: Callable[[NDArray[np.uint8]], Candidates],
    min_confidence: float,
    nms_iou: float,
) -> Faces:
    """The faces that one view shows, largest first, in the photo's pixels.

    A face that the view's border cuts is left out where the photo goes on behind it.
    """
    inner = picture.shrunk(view)
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
    high, wide = picture.pixels.shape[:2]
    if (across, down) == (wide, high):
        return faces
    faces.boxes[:, :2] += (view.left, view.top)
    faces.landmarks[:] += (view.left, view.top)
    return faces.take(_uncut(faces.boxes, view, wide, high))


def _uncut(boxes: NDArray[np.float32], view: View, width: int, height: int) -> NDArray[np.bool_]:
    near = _CUT / view.scale
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
    """From an image that was turned clockwise to the one before, of `width` and `height`."""
    # Pixel centres are whole numbers: 0 becomes width - 1.
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
    """At most MAX_TILES tiles, none where they would show no more than the whole photo."""
    width, height = whole.right, whole.bottom
    long, short = max(width, height), min(width, height)
    if long <= whole.long_side:
        return [], True
    overlap = max(1, round(_SEEN / whole.scale))
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
    """Columns and rows, at most `count` in all, whose largest tile side is the smallest."""
    grids = [(columns, count // columns) for columns in range(1, count + 1)]
    return min(grids, key=lambda grid: (max(width / grid[0], height / grid[1]), grid[0] * grid[1]))


def _cover(view: View, columns: int, rows: int, overlap: int) -> Iterator[View]:
    for top, bottom in _spans(view.top, view.bottom, rows, overlap):
        for left, right in _spans(view.left, view.right, columns, overlap):
            yield view._replace(left=left, top=top, right=right, bottom=bottom)


def _spans(start: int, end: int, count: int, overlap: int) -> Iterator[tuple[int, int]]:
    """`count` spans of equal length from `start` to `end`, each overlapping the next."""
    length = end - start
    # Neighbours never overlap by more than a half: else there would be as little gained as lost.
    span = min(length, -(-(length + min(overlap, length // (count + 1)) * (count - 1)) // count))
    for index in range(count):
        at = start + (length - span) * index // max(count - 1, 1)
        yield at, at + span


def _split(view: View) -> Iterator[View]:
    """A view whose input would exceed LARGEST, in parts of the same scale."""
    scale = view.scale
    # Rounded: 2900 * (1280 / 2900) is more than 1280.
    sides = [round(side * scale, 6) for side in (view.right - view.left, view.bottom - view.top)]
    columns, rows = (
        1 if side <= LARGEST else int(np.ceil((side - _OVERLAP) / (LARGEST - _OVERLAP)))
        for side in sides
    )
    for part in _cover(view, columns, rows, round(_OVERLAP / scale)):
        yield part._replace(long_side=whole_cells(round(part.side * scale, 6)))
