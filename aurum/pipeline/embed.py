"""Embedding of any number of aligned crops, in batches."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from aurum.contract import EMBEDDING_SIZE

# face_embedding's max_batch_size: a photo of a school class takes several calls.
CHUNK = 8


class Embeddings(NamedTuple):
    """Embeddings of F crops, and the id and calibration of the model that made them."""

    embeddings: NDArray[np.float32]  # [F,512], each of length 1
    norms: NDArray[np.float32]  # [F], lengths before normalization
    embedder: bytes  # the model's id; empty if F = 0, because no model was called
    calibration: NDArray[np.float32]  # [6] as models.calibrations has it; [0] without one or F = 0


NO_EMBEDDINGS = Embeddings(
    np.zeros((0, EMBEDDING_SIZE), np.float32), np.zeros(0, np.float32), b"", np.zeros(0, np.float32)
)

# Embeds at most CHUNK crops, uint8 RGB [n,112,112,3].
Embedder = Callable[[NDArray[np.uint8]], Embeddings]


def embed_crops(crops: NDArray[np.uint8], embed: Embedder) -> Embeddings:
    """Embed any number of crops, uint8 RGB [F,112,112,3].

    Raises RuntimeError if different embedders answer, because their embeddings can't be compared.
    This never happens while all calls use one release's versions (aurum.releases.active).
    """
    answers = [embed(crops[start : start + CHUNK]) for start in range(0, len(crops), CHUNK)]
    if not answers:
        return NO_EMBEDDINGS
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
) -> Embeddings:
    """Convert the outputs of the model `face_embedding` for n >= 1 crops.

    Args:
        embedding: float32 [n,512].
        norm: float32 [n,1].
        model: the embedder's id.
        calibration: float32 [n,6], the same row n times; NaN for an embedder without one.
    """
    row = calibration[0]
    return Embeddings(embedding, norm[:, 0], model, row[:0] if np.isnan(row).any() else row)
