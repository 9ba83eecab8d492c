"""A detector's candidates to the faces of a photo."""

from __future__ import annotations

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

_FAR = 1e6  # pixels: beyond any photo


class Faces(NamedTuple):
    """F faces, largest first, in pixels.

    Boxes may reach past the photo's border where it cuts a face.
    """

    boxes: NDArray[np.float32]  # [F, 4] x, y, width, height
    landmarks: NDArray[np.float32]  # [F, 5, 2] eyes, nose, mouth corners; image-left first
    scores: NDArray[np.float32]  # [F] 0..1

    def take(self, index: NDArray[np.intp] | slice) -> Faces:
        """The faces at `index`, in that order."""
        return Faces(self.boxes[index], self.landmarks[index], self.scores[index])


def select_faces(
    candidates: Faces,
    scale: NDArray[np.float32],
    min_confidence: float,
    nms_iou: float,
) -> Faces:
    """Keep the candidates that are faces, in the photo's pixels, largest first.

    Args:
        candidates: best first, in pixels of the detector's input.
        scale: float32 [2], pixels of that input for one of the photo's, x and y.
        min_confidence: the lowest score of a face, 0..1.
        nms_iou: IoU above which the weaker of two boxes is dropped (greedy NMS).
    """
    kept = candidates.take(np.flatnonzero(candidates.scores >= min_confidence))
    kept = kept.take(np.flatnonzero(_plausible(kept)))
    if len(kept.scores):
        # The threshold has been applied, inclusively; NMSBoxes' own is exclusive, so that a score
        # of 0 is no face even where min_confidence is 0.
        best = cv2.dnn.NMSBoxes(kept.boxes, kept.scores, 0.0, nms_iou)  # type: ignore[arg-type]
        kept = kept.take(np.asarray(best, np.intp).reshape(-1))
    order = np.argsort(-(kept.boxes[:, 2] * kept.boxes[:, 3]), kind="stable")
    kept = kept.take(order)
    return Faces(kept.boxes / np.tile(scale, 2), kept.landmarks / scale, kept.scores)


def _plausible(faces: Faces) -> NDArray[np.bool_]:
    """Which have an area, and no number that is NaN or absurd, as a detector's exp() makes it."""
    size = (faces.boxes[:, 2:] > 0).all(axis=1)
    box = (np.abs(faces.boxes) < _FAR).all(axis=1)
    points = (np.abs(faces.landmarks) < _FAR).all(axis=(1, 2))
    return size & box & points  # type: ignore[no-any-return]
