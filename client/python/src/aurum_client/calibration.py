"""What the similarity of two embeddings means, as it was measured for their embedder."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

FARS = (1e-2, 1e-3, 1e-4)
"""The false accept rates that calibrated embedders have thresholds for, in the wire's order."""

DEFAULT_FAR = 1e-4


@dataclass(frozen=True, slots=True)
class Calibration:
    """Thresholds and probabilities of one embedder, for pairs like those it was calibrated on.

    ``thresholds``: by false accept rate (a key of FARS), the cosine from which two faces count as
    one person's; of pairs of two people, that share is accepted wrongly. ``slope``, ``intercept``:
    of the logistic (Platt 1999) that was fitted where the share ``prior`` of all pairs is of one
    person.
    """

    thresholds: Mapping[float, float]
    slope: float
    intercept: float
    prior: float

    @classmethod
    def from_row(cls, row: list[float]) -> Calibration:
        """Read the six numbers of the wire: thresholds by FARS, slope, intercept, prior."""
        thresholds = MappingProxyType(dict(zip(FARS, row[:3], strict=True)))
        return cls(thresholds, *row[3:])

    def probability(self, similarity: float, prior: float | None = None) -> float:
        """Return the chance, 0 to 1, that two faces of this cosine are one person's.

        ``prior``: the share of one person's pairs among all that you compare, above 0 and below 1;
        None for that of the calibration. Bayes' rule moves the log-odds by its logit.

        Raises:
            ValueError: ``prior`` is not between 0 and 1.
        """
        check_prior(prior)
        odds = self.slope * similarity + self.intercept
        if prior is not None:
            odds += math.log(prior / (1 - prior)) - math.log(self.prior / (1 - self.prior))
        # exp() of large numbers overflows, of small ones it doesn't.
        return 1 / (1 + math.exp(-odds)) if odds > 0 else math.exp(odds) / (1 + math.exp(odds))


def check_far(far: float) -> None:
    """Raise ValueError, which names those there are, if there is no threshold for this rate."""
    if far not in FARS:
        raise ValueError(f"far={far!r}: must be one of {', '.join(f'{rate:g}' for rate in FARS)}")


def check_prior(prior: float | None) -> None:
    """Raise ValueError if this is no share of pairs that a probability can be told by."""
    if prior is not None and not 0 < prior < 1:
        raise ValueError(f"prior={prior!r}: must be above 0 and below 1")
