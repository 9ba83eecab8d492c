"""From any number of aligned crops to their embeddings."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

DIMENSIONS = 512
# face_embedding's max_batch_size: a school class takes several calls, an empty photo none.
CHUNK = 8
ATTEMPTS = 3

# At most CHUNK crops -> their embeddings [n,512] and the id of the embedder that answered.
Embedder = Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], bytes]]


def embed_crops(crops: NDArray[np.uint8], embed: Embedder) -> tuple[NDArray[np.float32], bytes]:
    """Embed crops uint8 RGB [F,112,112,3].

    Returns float32 [F,512], each of length 1, and the embedder's id (empty for F = 0, where none
    took part).
    """
    for _ in range(ATTEMPTS):
        answers = [embed(crops[start : start + CHUNK]) for start in range(0, len(crops), CHUNK)]
        if not answers:
            return np.zeros((0, DIMENSIONS), np.float32), b""
        if len({embedder for _, embedder in answers}) == 1:
            return np.concatenate([embeddings for embeddings, _ in answers]), answers[0][1]
        # The model was replaced between two chunks; embeddings of two models don't compare.
    raise RuntimeError(f"the embedder was replaced during each of {ATTEMPTS} attempts")
