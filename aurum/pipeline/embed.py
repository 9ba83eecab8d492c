"""From any number of aligned crops to their embeddings."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aurum.contract import EMBEDDING_SIZE

# face_embedding's max_batch_size: a school class takes several calls, an empty photo none.
CHUNK = 8


class Embedded(NamedTuple):
    """Embeddings of one model, and what it says of itself."""

    embeddings: NDArray[np.float32]  # [F,512], each of length 1
    norms: NDArray[np.float32]  # [F], the lengths before
    embedder: bytes  # its id; empty for F = 0, where none took part
    calibration: NDArray[np.float32]  # [6] as manifest.Calibration.row; [0] without one, or F = 0


NOTHING = Embedded(
    np.zeros((0, EMBEDDING_SIZE), np.float32), np.zeros(0, np.float32), b"", np.zeros(0, np.float32)
)

# At most CHUNK crops, uint8 RGB [n,112,112,3] -> their embeddings.
Embedder = Callable[[NDArray[np.uint8]], Embedded]


def embed_crops(crops: NDArray[np.uint8], embed: Embedder) -> Embedded:
    """Embed crops uint8 RGB [F,112,112,3].

    Raises RuntimeError if several embedders answer, whose embeddings don't compare; called by one
    version (aurum.releases.active) they never do.
    """
    answers = [embed(crops[start : start + CHUNK]) for start in range(0, len(crops), CHUNK)]
    if not answers:
        return NOTHING
    embedders = {answer.embedder for answer in answers}
    if len(embedders) > 1:
        raise RuntimeError(f"several embedders answered one photo: {sorted(embedders)}")
    return answers[0]._replace(
        embeddings=np.concatenate([answer.embeddings for answer in answers]),
        norms=np.concatenate([answer.norms for answer in answers]),
    )


def from_graph(
    embedding: NDArray[np.float32],
    norm: NDArray[np.float32],
    model: bytes,
    calibration: NDArray[np.float32],
) -> Embedded:
    """What the graph `face_embedding` gives for n >= 1 crops: [n,512], [n,1], its id, [n,6]."""
    row = calibration[0]
    return Embedded(embedding, norm[:, 0], model, row[:0] if np.isnan(row).any() else row)
