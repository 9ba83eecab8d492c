"""The meaning of a similarity: an embedder's measured thresholds and match probabilities."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

FARS = (1e-2, 1e-3, 1e-4)
"""The false accept rates (FAR) that have thresholds, in their order on the wire."""

DEFAULT_FAR = 1e-4


@dataclass(frozen=True, slots=True)
class Calibration:
    """Thresholds and match probability of one embedder, for pairs like its calibration data.

    ``thresholds``: the minimum cosine similarity of a match, -1 to 1, for each false accept rate in
    FARS, which is the fraction of pairs of different people that match. ``slope``, ``intercept``:
    the log-odds that a pair with cosine s is the same person are ``slope * s + intercept`` (Platt
    1999). ``prior``: the fraction of same-person pairs for which they were fitted, 0 to 1.
    """

    thresholds: Mapping[float, float]
    slope: float
    intercept: float
    prior: float

    @classmethod
    def from_row(cls, row: list[float]) -> Calibration:
        """Parse the output ``calibration``: a threshold per rate in FARS, slope, intercept, prior.

        Raises:
            ValueError, TypeError: ``row`` does not have six numbers.
        """
        thresholds = MappingProxyType(dict(zip(FARS, row[:3], strict=True)))
        return cls(thresholds, *row[3:])

    def probability(self, similarity: float, prior: float | None = None) -> float:
        """Return the probability, 0 to 1, that two faces with this cosine are the same person.

        ``prior``: the fraction of same-person pairs among the pairs that you compare, above 0 and
        below 1; None for the calibration's own. By Bayes' rule, a prior shifts the log-odds by the
        difference of the logits.

        Raises:
            ValueError: ``prior`` is not above 0 and below 1.
        """
        check_prior(prior)
        odds = self.slope * similarity + self.intercept
        if prior is not None:
            odds += math.log(prior / (1 - prior)) - math.log(self.prior / (1 - self.prior))
        # exp() overflows for large positive arguments only.
        return 1 / (1 + math.exp(-odds)) if odds > 0 else math.exp(odds) / (1 + math.exp(odds))


def check_far(far: float) -> None:
    """Raise ValueError, listing the valid rates, unless ``far`` is one of FARS."""
    if far not in FARS:
        raise ValueError(f"far={far!r}: must be one of {', '.join(f'{rate:g}' for rate in FARS)}")


def check_prior(prior: float | None) -> None:
    """Raise ValueError unless ``prior`` is None or above 0 and below 1."""
    if prior is not None and not 0 < prior < 1:
        raise ValueError(f"prior={prior!r}: must be above 0 and below 1")
