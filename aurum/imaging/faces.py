"""A detector's candidates to the faces of a photo."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

_FAR = 1e6  # pixels: beyond any photo
# What every detection graph promises of its list: all candidates of at least this score, and the
# LISTED best in any case. A tenth is far below any face, and leaves a lone face a short list.
LISTED_SCORE = 0.1
LISTED = 256
# Candidates whose landmarks are this near to a face's, in shares of its box's side, tell of the
# same face. The weight is steep: of two the surer one decides.
_NEAR = 0.25
_VOTE_POWER = 8
_CROWD = 64  # candidates
# A look of this many pixels holds any face that fits into it; a larger look tears larger faces
# apart. Measured: none is torn below 700.
WHOLE = 512


class Candidates(NamedTuple):
    """What a detector says of one image, best first, in the image's pixels."""

    boxes: NDArray[np.float32]  # [K, 4] x, y, width, height
    landmarks: NDArray[np.float32]  # [K, 5, 2] eyes, nose, mouth corners; image-left first
    scores: NDArray[np.float32]  # [K] 0..1

    def take(self, index: NDArray[np.intp] | slice) -> Candidates:
        """The candidates at `index`, in that order."""
        return Candidates(self.boxes[index], self.landmarks[index], self.scores[index])

    def promised(self) -> Candidates:
        """Without those that are only there because of another image in the same batch."""
        count = int(np.count_nonzero(self.scores >= LISTED_SCORE)) + 1
        return self.take(slice(max(count, LISTED)))

    def complete(self, min_confidence: float) -> bool:
        """Whether no candidate of that score can have been left off the list."""
        return len(self.scores) < LISTED or bool(self.scores[-1] < min_confidence)


class Faces(NamedTuple):
    """F faces, largest first, in pixels.

    Boxes may reach past the photo's border where it cuts a face.
    """

    boxes: NDArray[np.float32]  # [F, 4] x, y, width, height
    # [F, 5, 2] eyes, nose, mouth corners; image-left first where the face is upright
    landmarks: NDArray[np.float32]
    scores: NDArray[np.float32]  # [F] 0..1
    rotations: NDArray[np.int32]  # [F] 0, 90, 180, 270: clockwise, what makes the face upright
    # [F] 0..1: how sure the landmarks are, the mean score of the looks that a face has had
    fits: NDArray[np.float32]

    @property
    def areas(self) -> NDArray[np.float32]:
        """The boxes' areas [F]."""
        return np.asarray(self.boxes[:, 2] * self.boxes[:, 3])

    def take(self, index: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Faces:
        """The faces at `index`, in that order."""
        return Faces(*(column[index] for column in self))  # type: ignore[arg-type]

    def largest_first(self) -> Faces:
        """Sorted by the boxes' areas."""
        return self.take(np.argsort(-self.areas, kind="stable"))


def as_faces(found: Candidates) -> Faces:
    """Candidates that were chosen, as upright faces that one look has seen."""
    return Faces(*found, np.zeros(len(found.scores), np.int32), found.scores)


def join(parts: Sequence[Faces]) -> Faces:
    """All faces of several looks, as they come."""
    return Faces(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def select_faces(
    candidates: Candidates,
    scale: NDArray[np.float32],
    min_confidence: float,
    nms_iou: float,
) -> Faces:
    """Keep the candidates that are faces, in the photo's pixels, largest first.

    Each face's landmarks are the mean of all its candidates' (as weighted boxes fusion does with
    boxes: Solovyev et al., 2021), which moves half as much with the photo's pixels as the best
    one's.

    Args:
        candidates: best first, in pixels of the detector's input.
        scale: float32 [2], pixels of that input for one of the photo's, x and y.
        min_confidence: the lowest score of a face, 0..1.
        nms_iou: IoU above which the weaker of two boxes is dropped (greedy NMS).
    """
    likely = candidates.take(np.flatnonzero(candidates.scores >= min_confidence))
    likely = likely.take(np.flatnonzero(_plausible(likely)))
    kept = likely.take(best_apart(likely.boxes, likely.scores, nms_iou))
    landmarks = _voted(kept, likely)
    scaled = Candidates(kept.boxes / np.tile(scale, 2), landmarks / scale, kept.scores)
    return as_faces(scaled).largest_first()


def best_apart(
    boxes: NDArray[np.float32], keys: NDArray[np.float32], iou: float
) -> NDArray[np.intp]:
    """Greedy NMS: indices of boxes [F,4], best key [F] first, that overlap no better one more."""
    if not len(keys):
        return np.zeros(0, np.intp)
    # Its own threshold is exclusive: a score of 0 is no face even where min_confidence is 0.
    best = cv2.dnn.NMSBoxes(boxes, keys, 0.0, iou)  # type: ignore[arg-type]
    return np.asarray(best, np.intp).reshape(-1)


def without_fragments(fine: Faces, whole: Faces, limit: float) -> Faces:
    """Leave out the pieces that a fine look makes of faces too large for it.

    A piece lies inside a face of `whole`, from a coarser look, that is surer and longer than
    `limit` pixels: its middle is within the ellipse that the face's box bounds. It has 0.26 to 0.75
    of the face's length, as measured: a longer one is another reading of the face itself, where NMS
    chooses, and a shorter one may be a face before it.
    """
    large = whole.take(whole.boxes[:, 2:].max(axis=1, initial=0) > limit)
    if not len(large.scores) or not len(fine.scores):
        return fine
    middles = fine.boxes[:, None, :2] + fine.boxes[:, None, 2:] / 2
    half = large.boxes[None, :, 2:] / 2
    away = np.square((middles - large.boxes[None, :, :2] - half) / half).sum(axis=2)
    piece = (away < 1) & (fine.scores[:, None] < large.scores[None])
    share = np.sqrt(fine.areas[:, None] / large.areas[None])
    piece &= (share > 0.2) & (share < 0.8)
    return fine.take(~piece.any(axis=1))


def best_readings(faces: Faces, iou: float) -> Faces:
    """Of readings of one face in several turns the one that fits best.

    Two readings are of one face where their boxes overlap by more than `iou`, or the middle of one
    lies in the other.
    """
    order = np.argsort(-faces.fits, kind="stable")
    start, size = faces.boxes[:, :2], faces.boxes[:, 2:]
    kept: list[int] = []
    for index in order:
        others = np.array(kept, np.intp)[faces.rotations[kept] != faces.rotations[index]]
        middle = start[index] + size[index] / 2
        inside = (middle >= start[others]) & (middle <= start[others] + size[others])
        both = np.minimum(start[others] + size[others], start[index] + size[index]) - np.maximum(
            start[others], start[index]
        )
        shared = np.maximum(both, 0).prod(axis=1)
        union = faces.areas[others] + faces.areas[index] - shared
        if not (inside.all(axis=1) | (shared > iou * union)).any():
            kept.append(int(index))
    return faces.take(np.array(kept, np.intp))


def _voted(faces: Candidates, candidates: Candidates) -> NDArray[np.float32]:
    """The faces' landmarks, averaged over the candidates that tell of the same face."""
    everyone = candidates.landmarks.reshape(-1, 10)
    weights = candidates.scores.astype(np.float64) ** _VOTE_POWER  # of tiny scores, too
    landmarks = np.empty((len(faces.scores), 10), np.float32)
    sides = faces.boxes[:, 2:].max(axis=1, initial=0)
    for index, best in enumerate(faces.landmarks.reshape(-1, 10)):
        reach = _NEAR * sides[index]
        points, weight = everyone, weights
        if len(points) > _CROWD:  # one coordinate sorts out nearly all other faces
            around = np.flatnonzero(np.abs(points[:, 0] - best[0]) < reach)
            points, weight = points[around], weights[around]
        weight = weight * (np.abs(points - best).max(axis=1) < reach)
        landmarks[index] = weight @ points / weight.sum()
    return landmarks.reshape(-1, 5, 2)


def _plausible(found: Candidates) -> NDArray[np.bool_]:
    """Which have an area, and no number that is NaN or absurd, as a detector's exp() makes it."""
    size = (found.boxes[:, 2:] > 0).all(axis=1)
    box = (np.abs(found.boxes) < _FAR).all(axis=1)
    points = (np.abs(found.landmarks) < _FAR).all(axis=(1, 2))
    return size & box & points  # type: ignore[no-any-return]
