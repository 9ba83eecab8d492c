"""The gate: rejects faces so degraded that they would match similarly degraded strangers.

An embedder places faces of which it sees too little near each other: two strangers with the same
blur are as similar as two photos of one person. The gate therefore has a range for each quality
part, within which false matches are as rare as the calibration says. docs/design/quality.md
describes how the ranges were found.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aurum.quality.parts import PARTS, Column, features
from aurum.quality.weights import FITTED

PASSES = -1


def gate(parts: NDArray[np.float32], embedder: str) -> NDArray[np.int32]:
    """Decide for each of F faces whether it is fit for recognition, and if not, why.

    Args:
        parts: float32 [F,16], columns as in PARTS.
        embedder: id of the embedder that the last parts were computed with.

    Returns:
        int32 [F]: PASSES, or the column of the part that is farthest outside its range, measured in
        standard deviations of the photos that the weights were fitted on. int32 [0] for an embedder
        without known ranges.
    """
    if embedder != FITTED.embedder:
        return np.zeros(0, np.int32)
    values = features(parts)
    beyond = np.maximum(_LEAST - values, values - _MOST) / _SPREAD
    worst = beyond.argmax(axis=1)
    outside = beyond.max(axis=1) > 0
    return np.where(outside, worst, PASSES).astype(np.int32)


def _bounds(side: int, free: float) -> Column:
    """Lower (side 0) or upper (1) bounds of all parts as features [16]; `free` where none is."""
    given = [FITTED.gate.get(name, (None, None))[side] for name in PARTS]
    numbers = features(np.array([[1 if bound is None else bound for bound in given]], np.float32))
    return np.where([bound is None for bound in given], free, numbers[0])


_LEAST, _MOST = _bounds(0, -np.inf), _bounds(1, np.inf)
_SPREAD = FITTED.of_embedder.spread
