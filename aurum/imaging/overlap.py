"""How much boxes overlap. Boxes are [x, y, width, height] in pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]


def iou(ones: Floats, others: Floats) -> NDArray[np.float64]:
    """Compute the IoU of boxes [A,4] and [B,4]: [A,B]. It is 0 for boxes without an area."""
    a = np.asarray(ones, np.float64).reshape(-1, 1, 4)
    b = np.asarray(others, np.float64).reshape(1, -1, 4)
    low = np.maximum(a[..., :2], b[..., :2])
    high = np.minimum(a[..., :2] + a[..., 2:], b[..., :2] + b[..., 2:])
    shared = np.clip(high - low, 0, None).prod(axis=-1)
    union = a[..., 2:].prod(axis=-1) + b[..., 2:].prod(axis=-1) - shared
    return shared / np.where(union > 0, union, np.inf)  # type: ignore[no-any-return]
