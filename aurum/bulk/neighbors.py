"""Exact nearest neighbours of some faces among all, in blocks of bounded memory.

`blocks` are a function that yields the embeddings [n,512] of all faces, each of length 1, block by
block; `wanted` [W] are the rows that take part, counted over all blocks. Faces are places in it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Places = NDArray[np.int64]
Blocks = Callable[[], Iterator[Floats]]
ROWS = 1024  # compared at a time: with 10,000 queries 40 MB of similarities


class Neighbors(NamedTuple):
    """The nearest neighbour of each query, by cosine."""

    places: Places  # [Q]
    similarities: Floats  # [Q] -1..1


def nearest(blocks: Blocks, wanted: Places, queries: Places) -> Neighbors:
    """Search the nearest neighbour of each of `queries` [Q], other than itself."""
    vectors = _take(blocks, wanted[queries])
    best = Neighbors(np.zeros(len(queries), np.int64), np.full(len(queries), -2, np.float32))
    for places, block in _wanted(blocks, wanted):
        found = vectors @ block.T
        found[queries[:, None] == places[None]] = -2
        columns = found.argmax(axis=1)
        similarities = found[np.arange(len(queries)), columns]
        better = similarities > best.similarities
        best.places[better] = places[columns[better]]
        best.similarities[better] = similarities[better]
    return best


def similarities(blocks: Blocks, wanted: Places, ones: Places, others: Places) -> Floats:
    """Return the cosine of each of `ones` [Q] with that of `others` [Q] in the same place."""
    a, b = (_take(blocks, wanted[places]) for places in (ones, others))
    return np.asarray(np.einsum("ij,ij->i", a, b), np.float32)


def _wanted(blocks: Blocks, wanted: Places) -> Iterator[tuple[Places, Floats]]:
    """Yield places and their embeddings, at most ROWS at a time."""
    order = np.argsort(wanted, kind="stable")
    rows = wanted[order]
    start = 0
    for block in blocks():
        first, last = np.searchsorted(rows, [start, start + len(block)])
        for low in range(first, last, ROWS):
            high = min(low + ROWS, last)
            yield order[low:high], block[rows[low:high] - start]
        start += len(block)


def _take(blocks: Blocks, rows: Places) -> Floats:
    """Return the embeddings of `rows` [R]: [R,512]."""
    found = [(places, block) for places, block in _wanted(blocks, rows)]
    taken = np.concatenate([block for _, block in found])
    back = np.empty_like(taken)
    back[np.concatenate([places for places, _ in found])] = taken
    return back
