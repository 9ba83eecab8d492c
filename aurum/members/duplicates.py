"""Find people who are there twice: members whose faces are alike, clustered."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from aurum.members.decision import STRICTEST, threshold
from aurum.members.errors import ArgumentError, MembersError

if TYPE_CHECKING:
    from aurum.members.table import Members

ROWS = 1024  # compared at a time with as many others, all of which may be alike
NEIGHBOURS = 20  # of each face are looked at where there is an index


@dataclass(frozen=True)
class Cluster:
    """Members who seem to be one person, directly or by way of each other.

    `similarities`: of each member to the likest other one, cosine.
    """

    members: list[str]
    similarities: list[float]


@dataclass(frozen=True)
class Duplicates:
    """The clusters, most alike first.

    `pairs`: pairs of faces of different members that were compared; `by_chance`: how many of them
    reach the threshold on average if nobody is there twice, or None for a threshold of one's own.
    """

    clusters: list[Cluster]
    threshold: float
    pairs: int
    by_chance: float | None


class Groups:
    """Disjoint sets of members (union by smaller number), with each one's best similarity."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._parents: list[int] = []
        self._best: list[float] = []

    def number(self, member: str) -> int:
        """Return a member's number, a new one for a new member."""
        number = self._numbers.setdefault(member, len(self._parents))
        if number == len(self._parents):
            self._parents.append(number)
            self._best.append(-1.0)
        return number

    def unite(self, one: int, other: int, similarity: float) -> None:
        """Note that two members are alike."""
        for number in (one, other):
            self._best[number] = max(self._best[number], similarity)
        roots = sorted((self._root(one), self._root(other)))
        self._parents[roots[1]] = roots[0]

    def _root(self, number: int) -> int:
        while self._parents[number] != number:
            self._parents[number] = self._parents[self._parents[number]]
            number = self._parents[number]
        return number

    def clusters(self) -> list[Cluster]:
        """Return the sets of two and more members, most alike first."""
        sets: dict[int, list[tuple[str, float]]] = {}
        for member, number in self._numbers.items():
            sets.setdefault(self._root(number), []).append((member, self._best[number]))
        found = [
            Cluster(*map(list, zip(*sorted(them), strict=True)))
            for them in sets.values()
            if len(them) > 1
        ]
        return sorted(found, key=lambda one: (-max(one.similarities), one.members))


def find(table: Members, *, far: float = STRICTEST, at_least: float | None = None) -> Duplicates:
    """Cluster the members whose faces reach a threshold.

    Exact if searches are; with an index, each face is compared with its 20 likest only.

    Args:
        far: false accept rate of a pair, 1e-6 to 1e-2, unless `at_least` is given.
        at_least: a threshold of one's own, cosine.

    Raises MembersError for a table without a calibration, or another rate.
    """
    limit, rate = at_least, None
    if limit is None:
        if table.model.calibration is None:
            raise MembersError("the table's embedder was not calibrated: give a threshold")
        limit, rate = threshold(table.model.calibration, far), far
        if limit is None:
            raise ArgumentError(f"far={far:g}: must be at least {STRICTEST:g}, or give a threshold")
    groups = Groups()
    pairs = _by_index(table, groups, limit) if table.indexed else _all(table, groups, limit)
    return Duplicates(groups.clusters(), limit, pairs, None if rate is None else rate * pairs)


def _blocks(table: Members, groups: Groups) -> Iterator[tuple[NDArray[Any], NDArray[np.float32]]]:
    """Yield the members' numbers [n] and the embeddings [n,512] of at most ROWS faces."""
    for members, vectors in table.vectors():
        numbers = np.array([groups.number(member) for member in members])
        for start in range(0, len(numbers), ROWS):
            yield numbers[start : start + ROWS], vectors[start : start + ROWS]


def _all(table: Members, groups: Groups, limit: float) -> int:
    """Compare every face with every other; without an index, there are few enough for memory."""
    blocks = list(_blocks(table, groups))
    pairs = 0
    for index, (numbers, vectors) in enumerate(blocks):
        for other, (others, against) in enumerate(blocks[index:], index):
            different = numbers[:, None] != others[None, :]
            if other == index:
                different = np.triu(different)
            pairs += int(np.count_nonzero(different))
            alike = vectors @ against.T
            for row, column in np.argwhere(different & (alike >= limit)).tolist():
                groups.unite(int(numbers[row]), int(others[column]), float(alike[row, column]))
    return pairs


def _by_index(table: Members, groups: Groups, limit: float) -> int:
    for numbers, vectors in _blocks(table, groups):
        for row, member, similarity in table.neighbours(vectors, NEIGHBOURS):
            other = groups.number(member)
            if similarity >= limit and other != numbers[row]:
                groups.unite(int(numbers[row]), other, similarity)
    return len(table) * (len(table) - 1) // 2
