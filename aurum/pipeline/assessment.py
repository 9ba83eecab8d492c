"""Quality assessment of detected faces: parts, total and gate for each face."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aurum.pipeline.embed import Embeddings
from aurum.pipeline.find import DetectedFaces
from aurum.pipeline.request import RequestError
from aurum.quality.gate import gate
from aurum.quality.parts import PARTS, as_upright, quality, quality_parts, weakest


class QualityAssessment(NamedTuple):
    """The quality of F faces."""

    quality: NDArray[np.float32]  # [F], 0..1
    parts: NDArray[np.float32]  # [F,16], columns as in aurum.quality.parts.PARTS
    gate: NDArray[np.int32]  # as aurum.quality.gate.gate returns it: [F], or [0] without ranges


def assess_quality(
    found: DetectedFaces, crops: NDArray[np.uint8], embedded: Embeddings
) -> QualityAssessment:
    """Assess the quality of all faces in `found`.

    Args:
        found: F faces of one photo.
        crops: their aligned crops, uint8 RGB [F,112,112,3].
        embedded: their embeddings.
    """
    embedder = embedded.embedder.decode()
    boxes, landmarks, scores, rotations, fits = found.faces
    # The score of an aligned crop is only the sender's claim, so its fit is used instead.
    confidence = scores if found.detector else fits
    parts = quality_parts(
        found.image_size,
        crops,
        boxes,
        landmarks,
        confidence,
        embedded.norms,
        embedded.embeddings,
        embedder,
    )
    total = quality(as_upright(parts, rotations), embedder)
    return QualityAssessment(total, parts, gate(parts, embedder))


def low_quality_error(
    assessment: QualityAssessment, rotation: int, embedder: bytes, min_quality: float
) -> RequestError:
    """Make the ``low_quality`` error for a single face with a quality below `min_quality`.

    Args:
        assessment: of that face alone.
        rotation: what makes the face upright, degrees clockwise.
        embedder: id of the embedder.
        min_quality: the lowest accepted quality, 0..1.
    """
    upright = as_upright(assessment.parts, np.array([rotation], np.int32))
    part = int(weakest(upright, embedder.decode())[0])
    return RequestError(
        "low_quality",
        f"the face's quality is {assessment.quality[0]:.2f}, below min_quality={min_quality:g}; "
        f"it is worst in {PARTS[part]} ({assessment.parts[0, part]:.3g})",
    )
