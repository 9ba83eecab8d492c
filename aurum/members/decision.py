"""Thresholds for any false accept rate (FAR) that a calibration can speak for."""

from __future__ import annotations

import math

import numpy as np
from aurum_client import FARS, Calibration

from aurum.members.errors import ArgumentError

LOOSEST, STRICTEST_MEASURED = FARS[0], FARS[-1]
# The shipped calibrations come from 7,255,541 pairs of strangers, of which this rate is 7. Fewer
# would be chance, so nothing is said below.
STRICTEST = 1e-6


def threshold(calibration: Calibration, far: float) -> float | None:
    """Return the cosine, -1 to 1, above which a share `far` of the pairs of strangers lies.

    None for a rate below STRICTEST, which the calibration's data can't show. Between the measured
    rates (1e-2, 1e-3, 1e-4) the logarithm of the rate is interpolated linearly. From 1e-4 to 1e-6
    the last line is prolonged; docs/guides/members.md#thresholds tells what that is worth. A
    rate above 1e-2 gets the threshold of 1e-2, which is stricter than asked.

    Raises ArgumentError if `far` is not a number above 0 and at most 1.
    """
    if not 0 < far <= 1:
        raise ArgumentError(f"far={far:g}: must be above 0 and at most 1")
    if far < STRICTEST * (1 - 1e-9):  # 0.01 false matches among 10,000 is 1e-6, give or take a bit
        return None
    known = [calibration.thresholds[rate] for rate in FARS]
    decades = [-math.log10(rate) for rate in FARS]  # 2, 3, 4
    at = -math.log10(far)
    if at > decades[-1]:
        slope = (known[-1] - known[-2]) / (decades[-1] - decades[-2])
        return min(1.0, known[-1] + slope * (at - decades[-1]))
    return float(np.interp(at, decades, known))
