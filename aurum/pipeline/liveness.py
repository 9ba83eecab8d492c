"""Liveness of detected faces: is each before the camera, or on paper or on a screen?"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from aurum.imaging import surroundings
from aurum.pipeline.find import DetectedFaces

# face_liveness' max_batch_size.
CHUNK = 8

# Scores at most CHUNK faces, 0..1, larger is more live: float32 [n] from the crops of both
# networks, uint8 RGB [n,80,80,3], in the order of surroundings.SCALES.
Judge = Callable[[NDArray[np.uint8], NDArray[np.uint8]], NDArray[np.float32]]

UNKNOWN = np.zeros(0, np.float32)


def score_liveness(found: DetectedFaces, judge: Judge) -> NDArray[np.float32]:
    """Score the liveness of all faces in `found`, float32 [F]; [0] for an aligned crop.

    An aligned crop lacks the surroundings that the networks look at.
    """
    if not found.detector:
        return UNKNOWN
    boxes, rotations = found.faces.boxes, found.faces.rotations
    finest = surroundings.pixels_per_pixel(boxes, min(surroundings.SCALES))
    photo = found.source.at(float(finest.min(initial=np.inf)))
    boxes = np.hstack([photo.from_full(boxes[:, :2]), boxes[:, 2:] / photo.factor])
    scores = [UNKNOWN]
    for start in range(0, len(boxes), CHUNK):
        part = slice(start, start + CHUNK)
        near, wide = (
            surroundings.cut(photo.pixels, boxes[part], rotations[part], scale)
            for scale in surroundings.SCALES
        )
        scores.append(judge(near, wide))
    return np.concatenate(scores)
