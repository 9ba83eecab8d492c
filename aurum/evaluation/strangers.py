"""Count false matches among strangers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

ROWS = 512  # per block, to limit memory


class Rates(NamedTuple):
    """Counts of pairs of two owners."""

    photos: int
    pairs: int
    accepted: tuple[int, ...]  # at each threshold

    def share(self, index: int) -> float:
        """Return the false match rate at the threshold `index`; 0 without pairs."""
        return self.accepted[index] / max(1, self.pairs)


def rates(vectors: NDArray[np.float32], owners: NDArray[Any], thresholds: Sequence[float]) -> Rates:
    """Compare all pairs of embeddings [N,D] of different owners with each threshold."""
    _, owner = np.unique(owners, return_inverse=True)
    pairs, accepted = 0, np.zeros(len(thresholds), np.int64)
    for start in range(0, len(vectors), ROWS):
        rows = slice(start, start + ROWS)
        strangers = np.triu(owner[rows, None] != owner[None, start:], 1)
        alike = (vectors[rows] @ vectors[start:].T)[strangers]
        pairs += len(alike)
        accepted += [np.count_nonzero(alike >= threshold) for threshold in thresholds]
    return Rates(len(vectors), pairs, tuple(accepted.tolist()))
