"""``python -m benchmarks members``: recall and times of `aurum faces` for many made-up members.

Members are embeddings of a bulk run (`--people`, such as LFW's) plus noise, or without one only
noise, which has no clusters and so is harder for an index than faces are. Recall is the share of
the ten likest members of an exact search that the table returns; the queries are members plus
noise. Writes a table to `--out`.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from aurum.members import create
from aurum.members.schema import Model
from benchmarks.members.asking import query
from benchmarks.members.people import ASKED, ROWS, SEED, batches, made_up, noisy, real

TOP = 10
HEAD = """# Many members

{source}
{queries} queries each. Times of one search are milliseconds, median and 95th percentile. RSS is
the highest memory of the process so far, including the exact search beside it.

| members | search | build s | recall@10 | likest | p50 ms | p95 ms | erase s | disk MB | RSS MB |
| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |
"""
NOISE_ALONE = Model("none", "noise@000000000000", None)


def chosen(
    people: NDArray[np.float32] | None, size: int, places: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return some of the members, in the order of their numbers."""
    return np.concatenate(
        [
            made_up(people, size, start)[places[places // ROWS == start // ROWS] - start]
            for start in range(0, size, ROWS)
        ]
    )


def exact(
    people: NDArray[np.float32] | None, size: int, queries: NDArray[np.float32]
) -> list[list[str]]:
    """Return the TOP likest members of each query [Q,512], likest first."""
    best = np.full((len(queries), TOP), -2.0, np.float32)
    rows = np.zeros((len(queries), TOP), np.int64)
    for start in range(0, size, ROWS):
        alike = queries @ made_up(people, size, start).T
        both = np.concatenate([best, alike], axis=1)
        index = np.arange(start, start + alike.shape[1])
        all_rows = np.concatenate([rows, np.broadcast_to(index, alike.shape)], axis=1)
        order = np.argsort(-both, axis=1)[:, :TOP]
        best = np.take_along_axis(both, order, 1)
        rows = np.take_along_axis(all_rows, order, 1)
    return [[f"m{row}" for row in some] for some in rows.tolist()]


def measure(
    people: NDArray[np.float32] | None, model: Model, size: int, count: int, folder: Path
) -> str:
    """Build a table of `size` members in `folder` and search it; return the report's row."""
    began = time.perf_counter()
    table = create(folder, model, batches(people, size))
    built = time.perf_counter() - began
    places = np.random.default_rng(SEED).choice(size, count, replace=False)
    asked = noisy(chosen(people, size, places), ASKED, SEED - 1)
    wanted = exact(people, size, asked)
    table.search(query(asked[0], model))  # opens files and the index
    times, found, first = [], 0, 0
    for vector, likest in zip(asked, wanted, strict=True):
        began = time.perf_counter()
        answer = table.search(query(vector, model), top=TOP)
        times.append(1e3 * (time.perf_counter() - began))
        members = {one.member for one in answer.candidates}
        found += len(members.intersection(likest))
        first += likest[0] in members
    kind = "index" if table.indexed else "exact"
    began = time.perf_counter()
    table.remove(["m0"])
    erased = time.perf_counter() - began
    disk = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    p50, p95 = np.percentile(times, [50, 95])
    return (
        f"| {size:,} | {kind} | {built:.1f} | {found / count / TOP:.4f} | {first / count:.4f} | "
        f"{p50:.1f} | {p95:.1f} | {erased:.1f} | {disk:.0f} | {memory:.0f} |"
    )


def main() -> int:
    """Measure and write the report."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks members", description=(__doc__ or "").partition("\n\n")[2]
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--people", type=Path, help="output of `aurum bulk run`")
    parser.add_argument("--queries", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("results/members"))
    given = parser.parse_args()
    if min(given.sizes) < max(TOP, given.queries) or given.queries < 1:
        parser.error(f"--sizes: at least {TOP} members and as many as there are --queries")
    people, model = None, NOISE_ALONE
    source = "Members are noise alone, which is harder for an index than faces are."
    if given.people:
        faces = real(given.people)
        people, model = faces.vectors, faces.model
        source = (
            f"Members are made up: {len(people):,} embeddings by {model.embedder}, each drawn as "
            "often as needed, plus noise."
        )
    given.out.mkdir(parents=True, exist_ok=True)
    text = HEAD.format(source=source, queries=given.queries)
    print(text, end="")
    for size in given.sizes:
        folder = given.out / "table"
        try:
            row = measure(people, model, size, given.queries, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        print(row, flush=True)
        text += row + "\n"
    (given.out / "report.md").write_text(text, encoding="utf-8")
    return 0
