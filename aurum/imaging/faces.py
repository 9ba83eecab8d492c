"""Selection of faces among a detector's candidates: NMS, merging, plausibility."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

_FAR = 1e6  # pixels: larger than any photo
# Every detection graph outputs all candidates with at least this score, and at least the LISTED
# best ones. A score of 0.1 is far below any face's; a photo of a single face has a short list.
LISTED_SCORE = 0.1
LISTED = 256
# Candidates belong to the same face if their landmarks are this near to the face's, as a fraction
# of its box's longer side. Their weight is score ** _VOTE_POWER, so the best of them dominate.
_NEAR = 0.25
_VOTE_POWER = 8
_CROWD = 64  # the number of candidates above which they are filtered before they are compared
# The longest side of a detector's input, in pixels, in which faces of any size are found whole. In
# a larger input, large faces break into fragments (none below 700 pixels, as measured).
WHOLE = 512


class Candidates(NamedTuple):
    """A detector's candidates for faces in one image, best first, in the image's pixels."""

    boxes: NDArray[np.float32]  # [K, 4] x, y, width, height
    landmarks: NDArray[np.float32]  # [K, 5, 2] eyes, nose, mouth corners; image-left first
    scores: NDArray[np.float32]  # [K] 0..1

    def take(self, index: NDArray[np.intp] | slice) -> Candidates:
        """Select the candidates at `index`, in that order."""
        return Candidates(self.boxes[index], self.landmarks[index], self.scores[index])

    def without_batch_padding(self) -> Candidates:
        """Drop the candidates that were only listed because another image in the batch has more."""
        count = int(np.count_nonzero(self.scores >= LISTED_SCORE)) + 1
        return self.take(slice(max(count, LISTED)))

    def complete(self, min_confidence: float) -> bool:
        """Whether the list has all candidates with at least this score."""
        return len(self.scores) < LISTED or bool(self.scores[-1] < min_confidence)


class Faces(NamedTuple):
    """F faces, largest first, in pixels.

    The box of a face at the photo's border may extend beyond it.
    """

    boxes: NDArray[np.float32]  # [F, 4] x, y, width, height
    # [F, 5, 2] eyes, nose, mouth corners; image-left first if the face is upright
    landmarks: NDArray[np.float32]
    scores: NDArray[np.float32]  # [F] 0..1
    # [F] 0, 90, 180 or 270: the clockwise rotation in degrees that makes the face upright
    rotations: NDArray[np.int32]
    # [F] 0..1: the landmarks' reliability, which is the mean score of all looks at the face
    fits: NDArray[np.float32]

    @property
    def areas(self) -> NDArray[np.float32]:
        """The boxes' areas, float32 [F]."""
        return np.asarray(self.boxes[:, 2] * self.boxes[:, 3])

    def take(self, index: NDArray[np.intp] | NDArray[np.bool_] | slice) -> Faces:
        """Select the faces at `index`, in that order."""
        return Faces(*(column[index] for column in self))  # type: ignore[arg-type]

    def largest_first(self) -> Faces:
        """Sort the faces by their boxes' areas, largest first."""
        if len(self.scores) < 2:
            return self
        return self.take(np.argsort(-self.areas, kind="stable"))


def as_faces(found: Candidates) -> Faces:
    """Convert selected candidates to upright faces with one look each."""
    return Faces(*found, np.zeros(len(found.scores), np.int32), found.scores)


def join(parts: Sequence[Faces]) -> Faces:
    """Concatenate the faces of several looks."""
    return Faces(*(np.concatenate(columns) for columns in zip(*parts, strict=True)))


def select_faces(
    candidates: Candidates,
    scale: NDArray[np.float32],
    min_confidence: float,
    nms_iou: float,
) -> Faces:
    """Select the faces among candidates, and convert them to the photo's pixels, largest first.

    Each face's landmarks are the weighted mean of all its candidates' landmarks (as in weighted
    boxes fusion: Solovyev et al., 2021). When the photo's pixels change, the mean moves half as
    much as the best candidate's landmarks.

    Args:
        candidates: best first, in pixels of the detector's input.
        scale: float32 [2], pixels of that input per pixel of the photo, x and y.
        min_confidence: the lowest score of a face, 0..1.
        nms_iou: IoU above which the weaker of two boxes is dropped (greedy NMS).
    """
    likely = candidates.take(np.flatnonzero(candidates.scores >= min_confidence))
    plausible = _plausible(likely)
    if not plausible.all():
        likely = likely.take(np.flatnonzero(plausible))
    kept = likely.take(non_max_suppression(likely.boxes, likely.scores, nms_iou))
    landmarks = _averaged_landmarks(kept, likely)
    boxes = kept.boxes / np.concatenate([scale, scale])
    return as_faces(Candidates(boxes, landmarks / scale, kept.scores)).largest_first()


def non_max_suppression(
    boxes: NDArray[np.float32], keys: NDArray[np.float32], iou: float
) -> NDArray[np.intp]:
    """Run greedy NMS on boxes [F,4] with sort keys [F].

    Returns:
        The indices of the boxes that overlap no better one by more than `iou`, best key first.
    """
    if not len(keys):
        return np.zeros(0, np.intp)
    # OpenCV's score threshold is exclusive: a score of 0 is never a face, even if min_confidence
    # is 0.
    best = cv2.dnn.NMSBoxes(boxes, keys, 0.0, iou)  # type: ignore[arg-type]
    return np.asarray(best, np.intp).reshape(-1)


def without_fragments(fine: Faces, whole: Faces, limit: float) -> Faces:
    """Drop the fragments that a fine look finds of faces that are too large for it.

    A fragment's centre lies within the ellipse inscribed in the box of a face of `whole` that is
    longer than `limit` pixels and has a better score. Fragments measured 0.26 to 0.75 of the face's
    length. A longer detection is a duplicate of the face, left to NMS; a shorter one may be another
    face in front of it.

    Args:
        fine: faces of the fine look.
        whole: faces of a coarser look.
        limit: the longest side of a face that the fine look finds whole, pixels of the photo.
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


def best_rotation_per_face(faces: Faces, iou: float) -> Faces:
    """Of the same face found at several rotations of the photo, keep the one with the best fit.

    Two detections at different rotations are the same face if their boxes overlap with more than
    `iou`, or if the centre of the weaker one lies in the other's box.
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


def _averaged_landmarks(faces: Candidates, candidates: Candidates) -> NDArray[np.float32]:
    """The faces' landmarks, averaged over all candidates of the same face."""
    everyone = candidates.landmarks.reshape(-1, 10)
    weights = candidates.scores.astype(np.float64) ** _VOTE_POWER  # float32 would underflow
    landmarks = np.empty((len(faces.scores), 10), np.float32)
    sides = faces.boxes[:, 2:].max(axis=1, initial=0)
    for index, best in enumerate(faces.landmarks.reshape(-1, 10)):
        reach = _NEAR * sides[index]
        points, weight = everyone, weights
        if len(points) > _CROWD:  # one coordinate rules out nearly all other faces
            around = np.flatnonzero(np.abs(points[:, 0] - best[0]) < reach)
            points, weight = points[around], weights[around]
        weight = weight * (np.abs(points - best).max(axis=1) < reach)
        landmarks[index] = weight @ points / weight.sum()
    return landmarks.reshape(-1, 5, 2)


def _plausible(found: Candidates) -> NDArray[np.bool_]:
    """Which have an area and finite, realistic numbers; a detector's exp() may overflow."""
    numbers = np.concatenate([found.boxes, found.landmarks.reshape(-1, 10)], axis=1)
    near = (np.abs(numbers) < _FAR).all(axis=1)
    return near & (found.boxes[:, 2:] > 0).all(axis=1)  # type: ignore[no-any-return]
