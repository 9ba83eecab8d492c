"""From faces and their embeddings to how fit for recognition each is."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aurum.imaging.quality import as_upright, quality, quality_parts
from aurum.pipeline.embed import Embedded
from aurum.pipeline.find import Found


def judge(
    found: Found, crops: NDArray[np.uint8], embedded: Embedded
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Quality [F], 0..1, and its parts [F,K], columns as in aurum.imaging.quality.PARTS."""
    embedder = embedded.embedder.decode()
    boxes, landmarks, scores, rotations, _ = found.faces
    parts = quality_parts(
        found.image_size,
        crops,
        boxes,
        landmarks,
        scores,
        embedded.norms,
        embedded.embeddings,
        embedder,
    )
    return quality(as_upright(parts, rotations), embedder), parts
