"""Verification metrics from similarities, without interpolation.

A pair is accepted as one person if `similarity >= threshold`. FAR is the share of accepted pairs of
two people, TAR that of pairs of one person.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]


class AtFar(NamedTuple):
    """Result of a threshold chosen for a FAR."""

    far: float  # the requested one
    threshold: float
    accepted: int  # accepted pairs of two people
    impostors: int  # pairs of two people
    tar: float

    @property
    def reached(self) -> float:
        """The actual FAR, at most the requested one."""
        return self.accepted / self.impostors


def threshold_at_far(impostors: Floats, far: float) -> tuple[float, int]:
    """Return the lowest threshold with a FAR of at most `far`, and how many impostors it accepts.

    With N impostor pairs at most k = floor(far * N) may be accepted. The threshold lies just above
    the (k+1)-th highest similarity, so ties with it are all rejected. If k = 0 it lies above all
    similarities: the figure then means "at a FAR below 1/N", the most that N pairs can show.

    Args:
        impostors: similarities [N] of pairs of two people.
        far: the highest FAR, 0..1.
    """
    count = len(impostors)
    allowed = math.floor(far * count + 1e-9)  # 1e-3 * 3000 is 3, in floats too
    if allowed >= count:
        return -math.inf, count
    limit = np.partition(impostors, count - 1 - allowed)[count - 1 - allowed]
    # The next number of the scores' own type: float64's would round to a float32 limit itself.
    threshold = float(np.nextafter(limit, np.array(np.inf, limit.dtype)))
    return threshold, int(np.count_nonzero(impostors >= threshold))


def tar_at_far(scores: Floats, same: Bools, far: float) -> AtFar:
    """Compute TAR at the lowest threshold with a FAR of at most `far`; scores [P], same [P]."""
    impostors, genuine = scores[~same], scores[same]
    threshold, accepted = threshold_at_far(impostors, far)
    tar = float(np.mean(genuine >= threshold))
    return AtFar(far, threshold, accepted, len(impostors), tar)


def curve(scores: Floats, same: Bools) -> tuple[Floats, Floats, Floats]:
    """Return the ROC's corners: falling thresholds, FAR and TAR; equal scores share a corner."""
    thresholds, index = np.unique(-scores, return_inverse=True)
    accepted = np.bincount(index, weights=~same, minlength=len(thresholds)).cumsum()
    right = np.bincount(index, weights=same, minlength=len(thresholds)).cumsum()
    return -thresholds, accepted / max(1, accepted[-1]), right / max(1, right[-1])


def area(scores: Floats, same: Bools) -> float:
    """Compute the area under the ROC curve by the trapezoidal rule.

    It is the probability that a pair of one person scores higher than a pair of two; ties count
    half.
    """
    _, far, tar = curve(scores, same)
    return float(np.trapz(np.concatenate([[0], tar]), np.concatenate([[0], far])))


def equal_error(scores: Floats, same: Bools) -> float:
    """Compute the equal error rate: the mean of FAR and 1 - TAR where they are closest."""
    _, far, tar = curve(scores, same)
    nearest = np.argmin(np.abs(far - (1 - tar)))
    return float((far[nearest] + 1 - tar[nearest]) / 2)


def best_threshold(scores: Floats, same: Bools) -> float:
    """Return the threshold with the most correct decisions, halfway between two scores.

    Of several equally good ones it takes the middle: the first or last would depend on chance
    scores at the edge.
    """
    order = np.argsort(scores, kind="stable")
    sorted_scores, sorted_same = scores[order].astype(np.float64), same[order]
    # Cut c rejects the c lowest scores: correct are rejected pairs of two people, and accepted ones
    # of one.
    right = np.concatenate([[0], np.cumsum(~sorted_same)])
    right = right + np.concatenate([[0], np.cumsum(sorted_same[::-1])])[::-1]
    possible = np.concatenate([[True], sorted_scores[1:] > sorted_scores[:-1], [True]])
    cuts = np.flatnonzero(possible & (right == right[possible].max()))
    cut = cuts[len(cuts) // 2]
    # Below the lowest and above the highest score there is no second score.
    low = sorted_scores[cut - 1] if cut else sorted_scores[0] - 1
    high = sorted_scores[cut] if cut < len(scores) else sorted_scores[-1] + 1
    return float((low + high) / 2)


class Folds(NamedTuple):
    """Result of cross-validation: each fold's accuracy at a threshold chosen on the others."""

    thresholds: Floats  # [S]
    accuracies: Floats  # [S]

    @property
    def mean(self) -> float:
        """Mean accuracy of the folds."""
        return float(self.accuracies.mean())

    @property
    def standard_error(self) -> float:
        """Standard error of the mean: the folds' standard deviation (n - 1) / sqrt(n).

        NaN for a single fold.
        """
        if len(self.accuracies) < 2:
            return math.nan
        return float(self.accuracies.std(ddof=1) / math.sqrt(len(self.accuracies)))


def cross_validate(scores: Floats, same: Bools, folds: NDArray[np.integer[Any]]) -> Folds:
    """Cross-validate by LFW's protocol (Huang et al., 2007, view 2).

    A single fold is tested with its own threshold.

    Args:
        scores, same: [P].
        folds: [P], the set that each pair belongs to.
    """
    names = np.unique(folds)
    thresholds, accuracies = [], []
    for name in names:
        tested = folds == name
        trained = ~tested if len(names) > 1 else tested
        threshold = best_threshold(scores[trained], same[trained])
        thresholds.append(threshold)
        accuracies.append(np.mean((scores[tested] >= threshold) == same[tested]))
    return Folds(np.array(thresholds), np.array(accuracies))


def wilson(successes: float, count: int, z: float = 1.96) -> tuple[float, float]:
    """Return Wilson's score interval (1927) of a share, 95 % by default: low, high."""
    if not count:
        return 0.0, 1.0
    share = successes / count
    middle = share + z**2 / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    scale = 1 + z**2 / count
    # Rounding must keep the ends within 0..1, and at 0 or 1 if the share is exactly that.
    low = 0.0 if share == 0 else max(0.0, (middle - half) / scale)
    high = 1.0 if share == 1 else min(1.0, (middle + half) / scale)
    return low, high


def bootstrap_tar(
    scores: Floats, same: Bools, far: float, rounds: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """Return the 2.5 and 97.5 % bootstrap quantiles of `tar_at_far` (Efron, 1979).

    They show how few impostor pairs affect the threshold. Pairs that share a person are resampled
    as if independent, so the true range is somewhat wider.
    """
    random = np.random.default_rng(seed)
    impostors, genuine = scores[~same], np.sort(scores[same])
    tars = []
    for _ in range(rounds):
        threshold, _ = threshold_at_far(random.choice(impostors, len(impostors)), far)
        tars.append(np.mean(random.choice(genuine, len(genuine)) >= threshold))
    low, high = np.quantile(tars, [0.025, 0.975])
    return float(low), float(high)
