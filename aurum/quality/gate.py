"""Whether a face can be recognized at all, or would match strangers that are spoilt like it.

An embedder places faces of which it sees too little near each other: two strangers blurred alike
are as similar as one person's two photos. So each part of the quality has a range in which false
matches are as rare as the calibration says; docs/design/quality.md has how the ranges were found.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from aurum.quality.parts import PARTS, Column, features
from aurum.quality.weights import LEARNT

PASSES = -1


def gate(parts: NDArray[np.float32], embedder: str) -> NDArray[np.int32]:
    """What keeps each of F faces from being recognized.

    Args:
        parts: [F,16], columns as in PARTS.
        embedder: the id of the one that `parts` are of.

    Returns:
        int32 [F]: the column of the part that is farthest out of its range, in standard deviations
        of the fitted photos, or PASSES. [0] for an embedder of which no ranges are known.
    """
    if embedder != LEARNT.embedder:
        return np.zeros(0, np.int32)
    values = features(parts)
    beyond = np.maximum(_LEAST - values, values - _MOST) / _SPREAD
    worst = beyond.argmax(axis=1)
    outside = np.take_along_axis(beyond, worst[:, None], axis=1)[:, 0] > 0
    return np.where(outside, worst, PASSES).astype(np.int32)


def _bounds(side: int, free: float) -> Column:
    """The ranges' least (0) or most (1) of every part, as features [16]; `free` where none is."""
    given = [LEARNT.gate.get(name, (None, None))[side] for name in PARTS]
    numbers = features(np.array([[1 if bound is None else bound for bound in given]], np.float32))
    return np.where([bound is None for bound in given], free, numbers[0])


_LEAST, _MOST = _bounds(0, -np.inf), _bounds(1, np.inf)
_SPREAD = np.array(LEARNT.of_embedder.spread)
