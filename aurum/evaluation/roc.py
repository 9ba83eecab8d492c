"""Verification figures from similarities, without any interpolation.

A pair is accepted as one person where `similarity >= threshold`. FAR is the share of pairs of two
people that are accepted, TAR the share of pairs of one person.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]
Bools = NDArray[np.bool_]


class AtFar(NamedTuple):
    """What a threshold that keeps to a FAR does."""

    far: float  # asked for
    threshold: float
    accepted: int  # pairs of two people that it accepts
    impostors: int  # pairs of two people
    tar: float

    @property
    def reached(self) -> float:
        """The FAR that the threshold has: at most the one asked for."""
        return self.accepted / self.impostors


def threshold_at_far(impostors: Floats, far: float) -> tuple[float, int]:
    """The lowest threshold with a FAR of at most `far`, and how many impostors it accepts.

    With N impostor pairs at most k = floor(far * N) may be accepted. The threshold lies just above
    the (k+1)-th highest similarity, so equal ones are all rejected. Where k = 0 it lies above all
    of them: then the figure says "at a FAR below 1/N", and no more can be known from N pairs.

    Args:
        impostors: similarities [N] of pairs of two people.
        far: the highest FAR, 0..1.
    """
    count = len(impostors)
    allowed = math.floor(far * count + 1e-9)  # 1e-3 * 3000 is 3, in floats too
    if allowed >= count:
        return -math.inf, count
    limit = np.partition(impostors, count - 1 - allowed)[count - 1 - allowed]
    # The next number of the scores' own type: of a float32 limit a float64's would be rounded away.
    threshold = float(np.nextafter(limit, np.array(np.inf, limit.dtype)))
    return threshold, int(np.count_nonzero(impostors >= threshold))


def tar_at_far(scores: Floats, same: Bools, far: float) -> AtFar:
    """TAR at the lowest threshold that keeps to `far`; scores [P], same [P]."""
    impostors, genuine = scores[~same], scores[same]
    threshold, accepted = threshold_at_far(impostors, far)
    tar = float(np.mean(genuine >= threshold))
    return AtFar(far, threshold, accepted, len(impostors), tar)


def curve(scores: Floats, same: Bools) -> tuple[Floats, Floats, Floats]:
    """The ROC's corners: thresholds (falling), FAR and TAR at each; equal scores are one corner."""
    thresholds, index = np.unique(-scores, return_inverse=True)
    accepted = np.bincount(index, weights=~same, minlength=len(thresholds)).cumsum()
    right = np.bincount(index, weights=same, minlength=len(thresholds)).cumsum()
    return -thresholds, accepted / max(1, accepted[-1]), right / max(1, right[-1])


def area(scores: Floats, same: Bools) -> float:
    """The area under the ROC: the chance that a pair of one person scores higher than one of two.

    Equal scores count half (the trapezoids of the curve).
    """
    _, far, tar = curve(scores, same)
    return float(np.trapz(np.concatenate([[0], tar]), np.concatenate([[0], far])))


def equal_error(scores: Floats, same: Bools) -> float:
    """The error where FAR and 1 - TAR are nearest to each other: their mean there."""
    _, far, tar = curve(scores, same)
    nearest = np.argmin(np.abs(far - (1 - tar)))
    return float((far[nearest] + 1 - tar[nearest]) / 2)


def best_threshold(scores: Floats, same: Bools) -> float:
    """The threshold with the most right decisions, in the middle between two scores.

    Where several are as good, the middle one of them: the first or last would sit at the gateway of
    what the scores happen to be.
    """
    order = np.argsort(scores, kind="stable")
    sorted_scores, sorted_same = scores[order].astype(np.float64), same[order]
    # Cut c rejects the c lowest scores: right are the rejected of two people and the others of one.
    right = np.concatenate([[0], np.cumsum(~sorted_same)])
    right = right + np.concatenate([[0], np.cumsum(sorted_same[::-1])])[::-1]
    possible = np.concatenate([[True], sorted_scores[1:] > sorted_scores[:-1], [True]])
    cuts = np.flatnonzero(possible & (right == right[possible].max()))
    cut = cuts[len(cuts) // 2]
    # Beyond the lowest and highest score there is nothing to be in the middle of.
    low = sorted_scores[cut - 1] if cut else sorted_scores[0] - 1
    high = sorted_scores[cut] if cut < len(scores) else sorted_scores[-1] + 1
    return float((low + high) / 2)


class Folds(NamedTuple):
    """The protocol's result: each fold judged by a threshold that was chosen on the others."""

    thresholds: Floats  # [S]
    accuracies: Floats  # [S]

    @property
    def mean(self) -> float:
        """Mean accuracy of the folds."""
        return float(self.accuracies.mean())

    @property
    def standard_error(self) -> float:
        """Of the mean: the folds' standard deviation (n - 1) / sqrt(n). NaN for a single fold."""
        if len(self.accuracies) < 2:
            return math.nan
        return float(self.accuracies.std(ddof=1) / math.sqrt(len(self.accuracies)))


def cross_validate(scores: Floats, same: Bools, folds: NDArray[np.integer[Any]]) -> Folds:
    """LFW's protocol (Huang et al., 2007, view 2). A single fold can only be judged by itself.

    Args:
        scores, same: [P].
        folds: [P], the set that each pair belongs to.
    """
    names = np.unique(folds)
    thresholds, accuracies = [], []
    for name in names:
        judged = folds == name
        trained = ~judged if len(names) > 1 else judged
        threshold = best_threshold(scores[trained], same[trained])
        thresholds.append(threshold)
        accuracies.append(np.mean((scores[judged] >= threshold) == same[judged]))
    return Folds(np.array(thresholds), np.array(accuracies))


def wilson(successes: float, count: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's score interval for a share (1927), 95 % by default: lowest and highest."""
    if not count:
        return 0.0, 1.0
    share = successes / count
    middle = share + z**2 / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    scale = 1 + z**2 / count
    # Rounding must not carry an end out of 0..1, nor away from a share of exactly 0 or 1.
    low = 0.0 if share == 0 else max(0.0, (middle - half) / scale)
    high = 1.0 if share == 1 else min(1.0, (middle + half) / scale)
    return low, high


def bootstrap_tar(
    scores: Floats, same: Bools, far: float, rounds: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """2.5 and 97.5 % quantiles of `tar_at_far` when pairs are drawn anew (Efron, 1979).

    This shows what few impostor pairs do to the threshold. Pairs that share a person are drawn as
    if they were independent, so the true range is somewhat wider.
    """
    random = np.random.default_rng(seed)
    impostors, genuine = scores[~same], np.sort(scores[same])
    tars = []
    for _ in range(rounds):
        threshold, _ = threshold_at_far(random.choice(impostors, len(impostors)), far)
        tars.append(np.mean(random.choice(genuine, len(genuine)) >= threshold))
    low, high = np.quantile(tars, [0.025, 0.975])
    return float(low), float(high)
