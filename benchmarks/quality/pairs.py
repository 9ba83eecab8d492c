"""Pairs of photos, and the error rate of one person's pairs when the worst are rejected."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from aurum.evaluation.lfw import SEED
from aurum.evaluation.roc import threshold_at_far
from benchmarks.quality.measure import Table
from benchmarks.quality.samples import VERSIONS

FAR = 1e-3
IMPOSTORS = 300_000


class Pairs(NamedTuple):
    """Rows of a table, two per pair. Pairs with a photo whose face was not found are left out."""

    genuine: NDArray[np.intp]  # [G,2] of one person, two photos; the first is degraded
    impostors: NDArray[np.intp]  # [I,2] of two people
    missed: float  # share of genuine pairs left out


def pairs(table: Table, both: bool, share: float = 1.0) -> Pairs:
    """Return pairs whose first photo is degraded, and whose second is, too (`both`), or untouched.

    Of one person: every photo with every other, in each version. Of two people: random pairs. With
    `share` below 1, the first photo is degraded only in that (random) share of the pairs.
    """
    people = table.person[::VERSIONS]
    degraded = range(1, VERSIONS)
    rows: list[tuple[int, int]] = []
    for name in np.unique(people):
        photos = np.flatnonzero(people == name) * VERSIONS
        for one in photos:
            for other in photos[photos != one]:
                # If both are degraded, a pair and its reverse are the same.
                if not both:
                    rows += [(one + version, other) for version in degraded]
                elif one < other:
                    rows += [(one + version, other + version) for version in degraded]
    genuine = np.array(rows, np.intp).reshape(-1, 2)
    random = np.random.default_rng(SEED)
    first, second = random.integers(len(people), size=(2, IMPOSTORS))
    version = random.integers(1, VERSIONS, IMPOSTORS)
    impostors = np.column_stack(
        [first * VERSIONS + version, second * VERSIONS + (version if both else 0)]
    )[people[first] != people[second]]
    for drawn in (genuine, impostors):
        untouched = random.random(len(drawn)) >= share
        drawn[untouched, 0] -= drawn[untouched, 0] % VERSIONS
    kept = table.found[genuine].all(axis=1)
    return Pairs(
        genuine[kept], impostors[table.found[impostors].all(axis=1)], 1 - float(kept.mean())
    )


def where(chosen: Pairs, genuine: NDArray[np.bool_], impostors: NDArray[np.bool_]) -> Pairs:
    """Select pairs by the masks [G] and [I]."""
    return chosen._replace(genuine=chosen.genuine[genuine], impostors=chosen.impostors[impostors])


def similarities(table: Table, rows: NDArray[np.intp]) -> NDArray[np.float32]:
    """Compute the cosines [P] of pairs [P,2]."""
    # In blocks that fit in the cache: all at once it takes several times as long.
    parts = np.array_split(rows, len(rows) // 1024 + 1)
    return np.concatenate(
        [np.einsum("ij,ij->i", *table.embeddings[part.T], dtype=np.float32) for part in parts]
    )


def failures(table: Table, chosen: Pairs, far: float = FAR) -> tuple[NDArray[np.bool_], float]:
    """Return which genuine pairs the threshold of `far` rejects, and the threshold.

    The threshold is chosen on all impostor pairs, before any is rejected for its quality.
    """
    threshold, _ = threshold_at_far(similarities(table, chosen.impostors), far)
    return similarities(table, chosen.genuine) < threshold, threshold


def error_versus_reject(
    failed: NDArray[np.bool_], quality: NDArray[np.floating[Any]], shares: Sequence[float]
) -> NDArray[np.float64]:
    """Return FNMR of the pairs that remain when a share with the lowest quality is rejected.

    Grother and Tabassi, "Performance of biometric quality measures" (2007). Ties at the limit are
    split in proportion, so that the order of pairs does not matter.

    Args:
        failed: [G], pairs of one person that are not recognized.
        quality: [G], the lower quality of a pair's two photos.
        shares: each from 0 to below 1.
    """
    levels, level = np.unique(quality, return_inverse=True)
    sizes = np.bincount(level, minlength=len(levels))
    errors = np.bincount(level, weights=failed, minlength=len(levels))
    # Rejected pairs and their failures after each level, with linear interpolation in between.
    rejected = np.concatenate([[0], sizes.cumsum()])
    caught = np.concatenate([[0], errors.cumsum()])
    out = np.array(shares) * len(failed)
    return (errors.sum() - np.interp(out, rejected, caught)) / (len(failed) - out)  # type: ignore[no-any-return]
