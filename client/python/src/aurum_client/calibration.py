"""The meaning of a similarity: an embedder's measured thresholds and match probabilities."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from aurum_client._storage import Storable
from aurum_client._text import shown
from aurum_client._values import number

FARS = (1e-2, 1e-3, 1e-4)
"""The false accept rates (FAR) that have thresholds, in their order on the wire."""

DEFAULT_FAR = 1e-4


class Thresholds(Mapping[float, float]):
    """A read-only mapping that, unlike MappingProxyType, can be copied and pickled."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[float, float]) -> None:
        self._values = dict(values)

    def __getitem__(self, far: float) -> float:
        return self._values[far]

    def __iter__(self) -> Iterator[float]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._values)


@dataclass(frozen=True, slots=True)
class Calibration(Storable):
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

    def __post_init__(self) -> None:
        object.__setattr__(self, "thresholds", Thresholds(self.thresholds))

    @classmethod
    def from_row(cls, row: list[float]) -> Calibration:
        """Parse the output ``calibration``: a threshold per rate in FARS, slope, intercept, prior.

        Raises:
            ValueError, TypeError: ``row`` does not have six numbers.
        """
        return cls(dict(zip(FARS, row[:3], strict=True)), *row[3:])

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
    """Raise ValueError, listing the valid rates, or TypeError unless ``far`` is one of FARS."""
    if number("far", far) not in FARS:
        raise ValueError(
            f"far={shown(far)}: must be one of {', '.join(f'{rate:g}' for rate in FARS)}"
        )


def check_prior(prior: float | None) -> None:
    """Raise ValueError or TypeError unless ``prior`` is None or above 0 and below 1."""
    if prior is not None and not 0 < number("prior", prior) < 1:
        raise ValueError(f"prior={shown(prior)}: must be above 0 and below 1")
