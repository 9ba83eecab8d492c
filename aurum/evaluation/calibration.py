"""Calibrate similarities: thresholds at given FARs, and Platt scaling to a probability.

Platt, "Probabilistic outputs for support vector machines" (1999), with his smoothed targets;
fitted by Newton's method as in Lin, Lin and Weng, "A note on Platt's probabilistic outputs" (2007).
"""

from __future__ import annotations

import json
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aurum.evaluation import ValidationError
from aurum.evaluation.roc import AtFar, threshold_at_far

FARS = (1e-2, 1e-3, 1e-4)
PRIOR = 0.5  # share of pairs of one person that the fitted probability assumes
DIGITS = 4  # decimals of the thresholds in the table
# With fewer, the smallest FAR would mean nothing. 100,000 pairs of two people leave ten above its
# threshold; random parts of LFW with this much gave thresholds whose FAR on all of LFW was mostly
# half to twice the nominal one (docs/reports/accuracy.md#your-own-photos).
LEAST_PEOPLE = 100
LEAST_TWICE = 30  # people with two photos or more
LEAST_IMPOSTORS = 100_000


class Pairs(NamedTuple):
    """All pairs of a set of photos: similarities float32 [G] and [I], weights [G] with sum P.

    P is the number of people with at least two photos.
    """

    genuine: NDArray[np.float32]
    weights: NDArray[np.float64]
    impostors: NDArray[np.float32]


def all_pairs(vectors: NDArray[np.float32], people: NDArray[np.integer[Any]]) -> Pairs:
    """Return every pair of photos, weighted so that each person's pairs have the same total.

    Without weights, a person with 500 photos would give 125,000 pairs and dominate the result.

    Args:
        vectors: embeddings of length 1, float32 [N,D].
        people: the person of each, [N].
    """
    _, index, counts = np.unique(people, return_inverse=True, return_counts=True)
    photos = counts[index]  # of the same person, by photo
    genuine, weights, impostors = [], [], []
    for row_index in range(len(vectors) - 1):
        row = np.clip(vectors[row_index + 1 :] @ vectors[row_index], -1, 1)
        same = people[row_index + 1 :] == people[row_index]
        genuine.append(row[same])
        share = 2 / max(1, photos[row_index] * (photos[row_index] - 1))
        weights.append(np.full(int(same.sum()), share))
        impostors.append(row[~same])
    return Pairs(np.concatenate(genuine), np.concatenate(weights), np.concatenate(impostors))


def check_enough(people: NDArray[Any]) -> None:
    """Check that photos of these `people` [N] are enough for a calibration.

    Raises ValidationError, which says what there is and what is needed.
    """
    _, counts = np.unique(people, return_counts=True)
    twice = int(np.count_nonzero(counts > 1))
    photos = int(counts.sum())
    impostors = (photos**2 - int((counts**2).sum())) // 2
    if len(counts) < LEAST_PEOPLE or twice < LEAST_TWICE or impostors < LEAST_IMPOSTORS:
        raise ValidationError(
            f"too few photos to calibrate on: {photos} of {len(counts)} people, {twice} of them "
            f"with two or more, give {impostors} pairs of two people. A false accept rate of 1e-4 "
            f"needs at least {LEAST_PEOPLE} people, {LEAST_TWICE} of them with two photos or more, "
            f"and {LEAST_IMPOSTORS} pairs of two people (some 450 photos)"
        )


def most_alike(
    vectors: NDArray[np.float32], people: NDArray[np.integer[Any]], count: int
) -> list[tuple[int, int, float]]:
    """Return the `count` most alike pairs of two people: two indices and the similarity.

    Most often such a pair is one person in two folders.
    """
    found: list[tuple[float, int, int]] = []
    for row in range(len(vectors) - 1):
        alike = vectors[row + 1 :] @ vectors[row]
        alike[people[row + 1 :] == people[row]] = -np.inf
        best = int(alike.argmax())
        found.append((float(alike[best]), row, row + 1 + best))
    return [(one, other, alike) for alike, one, other in sorted(found, reverse=True)[:count]]


class Logistic(NamedTuple):
    """Probability of one person = 1 / (1 + exp(-(slope * similarity + intercept)))."""

    slope: float
    intercept: float

    def probability(self, similarity: float, prior: float = PRIOR) -> float:
        """Return the probability; another prior shifts the log-odds by its logit (Bayes' rule)."""
        odds = self.slope * similarity + self.intercept
        odds += math.log(prior / (1 - prior)) - math.log(PRIOR / (1 - PRIOR))
        return 1 / (1 + math.exp(-odds)) if odds > -700 else 0.0


def fit(pairs: Pairs, rounds: int = 100) -> Logistic:
    """Fit the logistic with the least log loss; both classes have the same weight (PRIOR).

    Raises ValidationError if a class is empty.
    """
    if not len(pairs.genuine) or not len(pairs.impostors):
        raise ValidationError("a calibration needs pairs of one person and pairs of two")
    x = np.concatenate([pairs.genuine, pairs.impostors]).astype(np.float64)
    weight = np.concatenate(
        [
            PRIOR * pairs.weights / pairs.weights.sum(),
            np.full(len(pairs.impostors), (1 - PRIOR) / len(pairs.impostors)),
        ]
    )
    # Platt's targets: with 0 and 1, separable pairs would drive the slope to infinity. The number
    # of weighted pairs is Kish's effective sample size (1965).
    effective = pairs.weights.sum() ** 2 / (pairs.weights**2).sum()
    target = np.concatenate(
        [
            np.full(len(pairs.genuine), (effective + 1) / (effective + 2)),
            np.full(len(pairs.impostors), 1 / (len(pairs.impostors) + 2)),
        ]
    )
    return Logistic(*_newton(x, target, weight, rounds))


def _newton(
    x: NDArray[np.float64], target: NDArray[np.float64], weight: NDArray[np.float64], rounds: int
) -> tuple[float, float]:
    """Minimize the convex log loss by Newton's method with backtracking: slope, intercept."""

    def loss(at: NDArray[np.float64]) -> float:
        odds = at[0] * x + at[1]
        return float(weight @ (np.logaddexp(0, odds) - target * odds))

    at = np.zeros(2)
    best = loss(at)
    for _ in range(rounds):
        probability = 1 / (1 + np.exp(-(at[0] * x + at[1])))
        error = weight * (probability - target)
        gradient = np.array([error @ x, error.sum()])
        if np.abs(gradient).max() < 1e-10:
            break
        curvature = weight * probability * (1 - probability)
        mixed = curvature @ x
        hessian = np.array([[curvature @ (x * x), mixed], [mixed, curvature.sum()]])
        step = np.linalg.solve(hessian + 1e-12 * np.eye(2), gradient)
        size = 1.0
        while (now := loss(at - size * step)) > best and size > 1e-8:
            size /= 2
        at, best = at - size * step, now
    return float(at[0]), float(at[1])


class Calibration(NamedTuple):
    """Calibration of one embedder on one data set."""

    thresholds: tuple[AtFar, ...]  # with TARs that give each person the same weight
    tars: tuple[float, ...]  # TARs at the same thresholds, with the same weight for each pair
    logistic: Logistic
    genuine: int
    impostors: int
    people: int
    photos: int


def calibrate(pairs: Pairs, photos: int, people: int) -> Calibration:
    """Compute thresholds at FARS from all pairs of two people, weighted TARs, and the logistic."""
    logistic = fit(pairs)
    thresholds, tars = [], []
    for far in FARS:
        exact, _ = threshold_at_far(pairs.impostors, far)
        # Rounded up to the table's decimals, which can only lower the FAR.
        threshold = math.ceil(exact * 10**DIGITS) / 10**DIGITS
        accepted = int(np.count_nonzero(pairs.impostors >= threshold))
        tar = pairs.weights @ (pairs.genuine >= threshold) / pairs.weights.sum()
        tars.append(float(np.mean(pairs.genuine >= threshold)))
        thresholds.append(AtFar(far, threshold, accepted, len(pairs.impostors), float(tar)))
    return Calibration(
        tuple(thresholds),
        tuple(tars),
        logistic,
        len(pairs.genuine),
        len(pairs.impostors),
        people,
        photos,
    )


def table(
    found: Calibration,
    embedder: str,
    dataset: str,
    date: str,
    command: str,
    name: str = "models.calibration",
) -> str:
    """Format the calibration as a TOML table, by default for the entry in models.toml."""
    rows = ", ".join(
        f'"{item.far:.0e}" = {item.threshold:.{DIGITS}f}'.replace("e-0", "e-")
        for item in found.thresholds
    )
    return "\n".join(
        [
            f"[{name}]",
            f"thresholds = {{ {rows} }}",
            f"probability = {{ slope = {found.logistic.slope:.4f}, "
            f"intercept = {found.logistic.intercept:.4f}, prior = {PRIOR} }}",
            f"model = {json.dumps(embedder)}",  # a JSON string is also a TOML string
            f"dataset = {json.dumps(f'{dataset}: {found.photos} photos of {found.people} people')}",
            f"impostor_pairs = {found.impostors}",
            f"genuine_pairs = {found.genuine}",
            f"date = {date}",
            f"command = {json.dumps(command)}",
            "",
        ]
    )
