"""Queries as the client would make them."""

from __future__ import annotations

import numpy as np
from aurum_client import Box, Embedding, Face, ModelIds
from numpy.typing import NDArray

from aurum.members.schema import Model


def query(vector: NDArray[np.float32], model: Model) -> Embedding:
    """Return an embedding of the table's model."""
    face = Face(Box(0, 0, 1, 1), np.zeros((5, 2), np.float32), 1.0, vector)
    return Embedding(vector, face, (1, 1), ModelIds(model.detector, model.embedder))
