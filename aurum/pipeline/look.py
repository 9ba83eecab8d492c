"""All looks at one photo: at several scales, again at each face, and at the rotated photo.

A "look" is one pass of the detector over a photo or a part of it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aurum.imaging.align import (
    crop_matrices,
    cut_for_second_look,
    map_back,
    pixels_per_second_look_pixel,
)
from aurum.imaging.decoding.decode import FACTORS, Photo
from aurum.imaging.faces import (
    WHOLE,
    Candidates,
    Faces,
    best_rotation_per_face,
    join,
    non_max_suppression,
    without_fragments,
)
from aurum.imaging.letterbox import SMALLEST
from aurum.imaging.views import TURNS, ImagePyramid, Plan, View, look
from aurum.pipeline.embed import Embedder
from aurum.pipeline.request import Options

CHUNK = 8  # face_landmarks' max_batch_size
MAX_SECOND_LOOKS = 256  # the number of a photo's largest faces that get a second look
# The height of a face in the detector's input, in pixels, that suffices to decide its rotation.
_ROTATION_SIDE = 64
# A face with fewer pixels than this in a coarser look's input is left to the finer look. Tiles
# overlap by more.
_MIN_COARSE_SIDE = 24
# The scale of one more look if no face was found: shrinking averages noise away.
_DENOISING_SCALE = 0.3
# Upper limit of the work for one photo, whatever it shows, in multiples of the first level's work.
_MAX_WORK = 4
# The lowest fit of a face that is only visible in the rotated photo.
_MIN_ROTATED_FIT = 0.75


class DetectorOutput(NamedTuple):
    """The detector's output for one image."""

    candidates: Candidates
    detector: bytes  # the detector's id
    # If no face fits this well (0..1), the photo may be rotated. 0: this detector finds the right
    # landmarks of rotated faces, too.
    upright: float


# Runs the detector on one letterboxed image, uint8 RGB [H,W,3].
Detector = Callable[[NDArray[np.uint8]], DetectorOutput]
# Takes a second look at up to CHUNK crops, uint8 RGB [n,96,96,3]. Returns landmarks float32 [n,5,2]
# in the crops' pixels and scores float32 [n], 0 where there is no face in the middle.
Refiner = Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], NDArray[np.float32]]]


class Models(NamedTuple):
    """The models that a pipeline calls, as functions."""

    detect: Detector
    refine: Refiner
    embed: Embedder


class PhotoSource:
    """Decodes an encoded photo at the resolutions that its faces need, each only once.

    `coarse` is the photo at the resolution that the detector needs.
    """

    def __init__(self, decode: Callable[[int], Photo], factor: float, min_factor: int = 1) -> None:
        """Decode the photo for the detector.

        Args:
            decode: decodes at 1 / n of the photo's size, where n is one of FACTORS.
            factor: the detector needs the photo at 1 / `factor` of its size.
            min_factor: the smallest n that `decode` supports.
        """
        self._decode = decode
        self._min_factor = min_factor
        self.coarse = self._finest = decode(_decodable(factor))

    def at(self, factor: float) -> Photo:
        """Return the photo at 1 / `factor` of its size or larger, or as large as possible."""
        if factor >= self.coarse.factor:
            return self.coarse
        if factor < self._finest.factor > self._min_factor:
            self._finest = self._decode(_decodable(factor))
        return self._finest


def _decodable(factor: float) -> int:
    """The largest of FACTORS that is at most `factor`; at least 1."""
    return next((one for one in FACTORS if one <= factor), 1)


class Looks:
    """Takes as many looks at one photo as its faces need, and merges the results."""

    def __init__(
        self, source: PhotoSource, planned: Plan, options: Options, nms_iou: float, models: Models
    ) -> None:
        """Prepare the looks.

        Args:
            source: the photo.
            planned: the looks at `source.coarse`, in its pixels.
            options: of the request.
            nms_iou: IoU above which the weaker of two boxes is dropped.
            models: the models to call.
        """
        photo = self._photo = source.coarse
        self._source = source
        self._pyramid = ImagePyramid(photo.pixels)
        # Letterboxing maps coordinates by the ratio of the sides alone. In a photo decoded at 1 / n
        # of its size, however, the middle of the first n pixels is at 0, not at (n - 1) / 2.
        self._shift = (1 - 1 / photo.factor) / 2
        self._options = options
        self._nms_iou = nms_iou
        self._models = models
        self._upright = 0.0
        self._plan = planned
        self._look_work = sum(view.work for view in planned.levels[0])
        self._work_left = _MAX_WORK * self._look_work
        self.detector = b""
        # False: a list of candidates was full, or the photo's shape needs more tiles than allowed.
        self.complete = self._plan.complete

    def faces(self) -> Faces:
        """Find the faces, in pixels of `source.coarse`, largest first, at most `max_faces`."""
        faces = self._find(self._plan)
        if not len(faces.fits):
            faces = self._find(self._plan.turned(0, _DENOISING_SCALE))
        faces = self._refined(self._limited(faces))
        if self._options.orientation == "auto":
            best = faces.fits.max(initial=0)
            if not len(faces.fits) or best < self._upright:
                faces = self._limited(self._with_rotated(faces, float(best)))
        return faces

    def _limited(self, faces: Faces) -> Faces:
        return faces.take(slice(self._options.max_faces or None))

    def _find(self, planned: Plan) -> Faces:
        """Find the faces in all levels of a plan, without duplicates, largest first."""
        self._work_left -= planned.work
        faces = self._level(planned.levels[0])
        for finer, level in pairwise(planned.levels):
            found = self._level(level)
            long_sides = found.boxes[:, 2:].max(axis=1, initial=0) * level[0].scale
            found = found.take(long_sides >= _MIN_COARSE_SIDE)
            kept = without_fragments(faces, found, WHOLE / finer[0].scale)
            faces = self._merged([kept, found])
        return faces

    def _level(self, views: list[View]) -> Faces:
        parts = [
            look(self._pyramid, view, self._detect, self._options.min_confidence, self._nms_iou)
            for view in views
        ]
        faces = parts[0] if len(parts) == 1 else self._merged(parts)
        if self._shift:
            faces.landmarks[:] -= self._shift
        return faces

    def _merged(self, parts: list[Faces]) -> Faces:
        """Merge several looks: of duplicates keep the one with the best score; largest first."""
        faces = join(parts)
        return faces.take(
            non_max_suppression(faces.boxes, faces.scores, self._nms_iou)
        ).largest_first()

    def _detect(self, image: NDArray[np.uint8]) -> Candidates:
        seen = self._models.detect(image)
        self.detector, self._upright = seen.detector, seen.upright
        candidates = seen.candidates.without_batch_padding()
        self.complete &= candidates.complete(self._options.min_confidence)
        return candidates

    def _refined(self, faces: Faces) -> Faces:
        """Take a second look at the largest faces, which updates their landmarks and fits."""
        count = min(len(faces.scores), MAX_SECOND_LOOKS)
        if not (count and self._options.refine):
            return faces
        photo = sharp = self._photo
        matrices = crop_matrices(faces.boxes[:count], faces.landmarks[:count])
        if photo.factor > 1:
            wanted = pixels_per_second_look_pixel(matrices).min()
            sharp = self._source.at(float(wanted) * photo.factor)
        if sharp is not photo:
            matrices = sharp.matrices_from_full(photo.matrices_to_full(matrices))
        crops, matrices = cut_for_second_look(sharp.pixels, matrices)
        answers = [
            self._models.refine(crops[start : start + CHUNK]) for start in range(0, count, CHUNK)
        ]
        points, scores = (np.concatenate(part) for part in zip(*answers, strict=True))
        seen = np.flatnonzero(scores > 0)
        landmarks, fits = faces.landmarks.copy(), faces.fits.copy()
        again = map_back(points[seen], matrices[seen])
        landmarks[seen] = again if sharp is photo else photo.from_full(sharp.to_full(again))
        fits[:count] = (fits[:count] + scores) / 2
        return faces._replace(landmarks=landmarks, fits=fits)

    def _with_rotated(self, faces: Faces, best: float) -> Faces:
        """Add the faces that are only visible, or fit better, when the photo is rotated."""
        shrink = self._rotated_scale(faces)
        found: list[tuple[float, int, Faces]] = []
        for turn in TURNS:
            seen = self._refined(self._find(self._plan.turned(turn, shrink)))
            found.append((float(seen.fits.max(initial=0)), turn, seen))
        readings = [faces]
        for fit, turn, coarse in sorted(found, key=lambda item: -item[0]):
            if fit <= best or fit < _MIN_ROTATED_FIT:
                break
            seen, again = coarse, self._plan.turned(turn, 1.0)
            if shrink < 1 and again.work <= self._work_left:
                seen = self._refined(self._merged([self._find(again), coarse]))
            readings.append(seen.take(seen.fits >= _MIN_ROTATED_FIT))
        return best_rotation_per_face(join(readings), self._nms_iou).largest_first()

    def _rotated_scale(self, faces: Faces) -> float:
        """The scale, relative to the finest level, at which looks at the rotated photo suffice."""
        finest = self._plan.finest
        least = min(SMALLEST / finest.input_side, 0.5)
        if not len(faces.scores):
            return least
        best = faces.boxes[int(faces.fits.argmax()), 2:].max() * finest.scale
        share = min(max(_ROTATION_SIDE / float(best), least), 1.0)
        # All three rotations have to fit into the work that is left.
        return float(min(share, (self._work_left / (len(TURNS) * self._look_work)) ** 0.5))
