"""``python -m benchmarks members identify BULK_OUTPUT``: how often the right person comes first.

Of a bulk run over photos `person/file.jpg`, the last photo of each person with two or more is the
query; all others are enrolled, also those of low quality. A search by the best face and one by the
mean are compared, for all queries and for those of people with several enrolled faces.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from aurum.contract import EMBEDDING_SIZE
from aurum.members import Members, create
from aurum.members.schema import COLUMNS
from benchmarks.members.asking import query
from benchmarks.members.people import People, real

FARS = (1e-4, 1e-6)


class Split(NamedTuple):
    """Rows of the enrolled faces and of the queries, and which queries' people have several."""

    enrolled: NDArray[np.int64]
    queries: NDArray[np.int64]
    several: NDArray[np.bool_]


def split(names: NDArray[np.str_]) -> Split:
    """Take the last photo of each person with two or more as the query."""
    _, first, index, counts = np.unique(
        names, return_index=True, return_inverse=True, return_counts=True
    )
    last = first + counts - 1  # the names are sorted
    queries = last[counts > 1]
    enrolled = np.setdiff1d(np.arange(len(names)), queries)
    return Split(enrolled, queries, counts[index[queries]] > 2)


def rows(people: People, chosen: NDArray[np.int64]) -> Iterator[pa.RecordBatch]:
    """Yield the faces as rows of a table."""
    now = pa.scalar(0, pa.timestamp("ms", "UTC"))
    columns = [
        pa.array(people.names[chosen].tolist()),
        pa.array([str(row) for row in chosen.tolist()]),
        pa.nulls(len(chosen), pa.float32()),
        pa.repeat(now, len(chosen)),
        pa.FixedSizeListArray.from_arrays(pa.array(people.vectors[chosen].ravel()), EMBEDDING_SIZE),
    ]
    yield pa.RecordBatch.from_arrays(columns, schema=pa.schema(COLUMNS))


def row(table: Members, people: People, parts: Split, by: str, far: float) -> str:
    """Search for all queries; return the report's row."""
    right, accepted, others = [], [], []
    for index in parts.queries.tolist():
        name = str(people.names[index])
        asked = query(people.vectors[index], people.model)
        found = table.search(asked, top=100, far=far, by=by).candidates
        right.append(found[0].member == name)
        accepted.append(any(one.match and one.member == name for one in found))
        others.append(sum(bool(one.match) and one.member != name for one in found))
    several = parts.several
    return (
        f"| {by} | {far:g} | {np.mean(right):.2%} | {np.array(right)[several].mean():.2%} | "
        f"{np.mean(accepted):.2%} | {np.array(accepted)[several].mean():.2%} | "
        f"{np.mean(others):.3f} |"
    )


def main() -> int:
    """Measure and print the report."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks members identify",
        description=(__doc__ or "").partition("\n\n")[2],
    )
    parser.add_argument("output", type=Path, metavar="BULK_OUTPUT")
    people = real(parser.parse_args().output)
    parts = split(people.names)
    with tempfile.TemporaryDirectory(prefix="aurum-") as folder:
        table = create(folder, people.model, rows(people, parts.enrolled))
        print(
            f"{len(table):,} faces of {table.stats()['members']:,} members enrolled, "
            f"{len(parts.queries)} queries, {parts.several.sum()} of members with several faces\n\n"
            "| by | FAR | first is right | of several faces | matched | of several faces | "
            "strangers matched per search |\n| --- | --- | --- | --- | --- | --- | --- |"
        )
        for far in FARS:
            for by in ("best", "mean"):
                print(row(table, people, parts, by, far), flush=True)
    return 0
