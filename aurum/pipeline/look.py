"""All looks of the detector at one photo: at several scales, at each face again, and turned."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aurum.imaging.align import (
    cut_for_second_look,
    map_back,
    pixels_per_second_look_pixel,
    to_crops,
)
from aurum.imaging.decoding.decode import FACTORS, Photo
from aurum.imaging.faces import (
    WHOLE,
    Candidates,
    Faces,
    best_apart,
    best_readings,
    join,
    without_fragments,
)
from aurum.imaging.letterbox import SMALLEST
from aurum.imaging.views import TURNS, Picture, Plan, View, look
from aurum.pipeline.embed import Embedder
from aurum.pipeline.request import Options

# face_landmarks' max_batch_size.
CHUNK = 8
# So many of a photo's largest faces are looked at once more.
MAX_SECOND_LOOKS = 256
# How high, in pixels of the detector's input, a face is looked at to learn which turn it has.
_TELLING = 64
# What has fewer pixels than this in a coarser look's input, the finer one sees better. Tiles
# overlap by more.
_LEAST_COARSE = 24
_AVERAGED = 0.3  # of the size: what noise hides is seen where it is averaged
# All that a photo costs, in looks at the size that was asked for, whatever is in it.
_MOST_WORK = 4
# What only a turned look sees is a face where it fits so well.
_TURNED_FIT = 0.75


class Seen(NamedTuple):
    """What a detector says of one image, and of itself."""

    candidates: Candidates
    detector: bytes  # its id
    # Where no face fits this well, the photo may be turned. 0: it reads turned faces rightly.
    upright: float


# One letterboxed image uint8 RGB [H,W,3] -> what the detector sees in it.
Detector = Callable[[NDArray[np.uint8]], Seen]
# At most CHUNK crops uint8 RGB [n,96,96,3] -> landmarks [n,5,2] in the crops' pixels, and scores
# [n], 0 where no face is seen in the middle.
Refiner = Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], NDArray[np.float32]]]


class Models(NamedTuple):
    """The models that a photo meets, as functions."""

    detect: Detector
    refine: Refiner
    embed: Embedder


class Sight:
    """An encoded photo, decoded as large as its faces need it; no size twice.

    `coarse` is as large as the detector needs it.
    """

    def __init__(self, decode: Callable[[int], Photo], factor: float, least: int = 1) -> None:
        """`decode` makes the pixels at 1 / n of the size, of FACTORS; n is never below `least`."""
        self._decode = decode
        self._least = least
        self.coarse = self._finest = decode(_whole(factor))

    def at(self, factor: float) -> Photo:
        """With at least the pixels that it has at 1 / `factor` of its size, or all it can have."""
        if factor >= self.coarse.factor:
            return self.coarse
        if factor < self._finest.factor > self._least:
            self._finest = self._decode(_whole(factor))
        return self._finest


def _whole(most: float) -> int:
    """The largest of FACTORS that is at most `most`; at least 1."""
    return next((factor for factor in FACTORS if factor <= most), 1)


class Looks:
    """One photo, looked at as often as its faces need."""

    def __init__(
        self, sight: Sight, planned: Plan, options: Options, nms_iou: float, models: Models
    ) -> None:
        """`planned` is of the pixels of `sight.coarse`."""
        photo = self._photo = sight.coarse
        self._sight = sight
        self._picture = Picture(photo.pixels)
        # The detector's pixels are shares of the photo's sides, however it was decoded. In a photo
        # of 1 / n of its size a point in the middle of n pixels is at 0, not at (n - 1) / 2.
        self._shift = (1 - 1 / photo.factor) / 2
        self._options = options
        self._nms_iou = nms_iou
        self._models = models
        self._upright = 0.0
        self._plan = planned
        self._look_work = sum(view.work for view in planned.levels[0])
        self._work_left = _MOST_WORK * self._look_work
        self.detector = b""
        # False: a list of candidates filled up, or the photo's shape asks for more tiles.
        self.complete = self._plan.complete

    def faces(self) -> Faces:
        """The photo's faces in its own pixels, largest first, as many as the options want."""
        faces = self._see(self._plan)
        if not len(faces.fits):
            faces = self._see(self._plan.turned(0, _AVERAGED))
        faces = self._refined(self._first(faces))
        if self._options.orientation == "auto":
            best = faces.fits.max(initial=0)
            if not len(faces.fits) or best < self._upright:
                faces = self._first(self._with_turned(faces, float(best)))
        return faces

    def _first(self, faces: Faces) -> Faces:
        return faces.take(slice(self._options.max_faces or None))

    def _see(self, planned: Plan) -> Faces:
        """The faces of all levels, each once, largest first."""
        self._work_left -= planned.work
        faces = self._level(planned.levels[0])
        for finer, level in pairwise(planned.levels):
            found = self._level(level)
            long_sides = found.boxes[:, 2:].max(axis=1, initial=0) * level[0].scale
            found = found.take(long_sides >= _LEAST_COARSE)
            kept = without_fragments(faces, found, WHOLE / finer[0].scale)
            faces = self._once([kept, found])
        return faces

    def _level(self, views: list[View]) -> Faces:
        parts = [
            look(self._picture, view, self._detect, self._options.min_confidence, self._nms_iou)
            for view in views
        ]
        faces = parts[0] if len(parts) == 1 else self._once(parts)
        if self._shift:
            faces.landmarks[:] -= self._shift
        return faces

    def _once(self, parts: list[Faces]) -> Faces:
        """The faces of several looks, each by its surest one, largest first."""
        faces = join(parts)
        return faces.take(best_apart(faces.boxes, faces.scores, self._nms_iou)).largest_first()

    def _detect(self, image: NDArray[np.uint8]) -> Candidates:
        seen = self._models.detect(image)
        self.detector, self._upright = seen.detector, seen.upright
        candidates = seen.candidates.promised()
        self.complete &= candidates.complete(self._options.min_confidence)
        return candidates

    def _refined(self, faces: Faces) -> Faces:
        """The largest faces' landmarks from a second look at each; fits tell how sure it is."""
        count = min(len(faces.scores), MAX_SECOND_LOOKS)
        if not (count and self._options.refine):
            return faces
        photo = sharp = self._photo
        matrices = to_crops(faces.boxes[:count], faces.landmarks[:count])
        if photo.factor > 1:
            wanted = pixels_per_second_look_pixel(matrices).min()
            sharp = self._sight.at(float(wanted) * photo.factor)
        if sharp is not photo:
            matrices = sharp.matrices_here(photo.matrices_there(matrices))
        crops, matrices = cut_for_second_look(sharp.pixels, matrices)
        answers = [
            self._models.refine(crops[start : start + CHUNK]) for start in range(0, count, CHUNK)
        ]
        points, scores = (np.concatenate(part) for part in zip(*answers, strict=True))
        seen = np.flatnonzero(scores > 0)
        landmarks, fits = faces.landmarks.copy(), faces.fits.copy()
        again = map_back(points[seen], matrices[seen])
        landmarks[seen] = again if sharp is photo else photo.here(sharp.there(again))
        fits[:count] = (fits[:count] + scores) / 2
        return faces._replace(landmarks=landmarks, fits=fits)

    def _with_turned(self, faces: Faces, best: float) -> Faces:
        """What three turned looks see better, or see alone, beside the faces found so far."""
        shrink = self._telling(faces)
        found: list[tuple[float, int, Faces]] = []
        for turn in TURNS:
            seen = self._refined(self._see(self._plan.turned(turn, shrink)))
            found.append((float(seen.fits.max(initial=0)), turn, seen))
        readings = [faces]
        for fit, turn, coarse in sorted(found, key=lambda item: -item[0]):
            if fit <= best or fit < _TURNED_FIT:
                break
            seen, again = coarse, self._plan.turned(turn, 1.0)
            if shrink < 1 and again.work <= self._work_left:
                seen = self._refined(self._once([self._see(again), coarse]))
            readings.append(seen.take(seen.fits >= _TURNED_FIT))
        return best_readings(join(readings), self._nms_iou).largest_first()

    def _telling(self, faces: Faces) -> float:
        """At what share of the finest look's size the turned looks are enough."""
        finest = self._plan.finest
        least = min(SMALLEST / finest.input_side, 0.5)
        if not len(faces.scores):
            return least
        best = faces.boxes[int(faces.fits.argmax()), 2:].max() * finest.scale
        share = min(max(_TELLING / float(best), least), 1.0)
        # Turned looks at full size still have to leave the photo within its work.
        return float(min(share, (self._work_left / (len(TURNS) * self._look_work)) ** 0.5))
