"""Locust: mixed photos over both protocols, and the rate held at a p95 below 100 ms."""

from __future__ import annotations

import json
from pathlib import Path

from benchmarks.common import names
from benchmarks.common.rows import Table, Users
from benchmarks.load import locust_run
from benchmarks.load.outcome import Load
from benchmarks.performance.bench import Bench

USERS = 8  # of the runs at full speed
START = 60.0  # photos per second, first rate of a search


def measure(bench: Bench) -> None:
    """Write `locust.csv`, and Locust's own CSV files to a folder for each run."""
    table = bench.table("locust", Users)
    seconds = bench.suite.locust_seconds
    searches = [
        *((names.ONE_FACE, bench.photo, number) for number in range(bench.suite.searches)),
        *((names.MIXED, bench.photos, number) for number in range(bench.suite.mixed_searches)),
    ]
    steps: list[tuple[str, Path, int | str]] = [
        (names.MIXED, bench.photos, "http"),
        (names.MIXED, bench.photos, "grpc"),
        *searches,
    ]
    for photos, path, step in bench.steps("Locust", steps):
        if isinstance(step, int):
            _search(bench, table, photos, path, step)
            continue
        url = bench.http if step == "http" else bench.grpc
        folder = bench.raw / "locust" / f"{photos}-{step}"
        load = locust_run.run(url, folder, users=USERS, seconds=seconds, photos=path)
        table.add(_row("", photos, step, USERS, 0.0, load))


def _search(bench: Bench, table: Table[Users], photos: str, path: Path, number: int) -> None:
    """Search for the rate held over HTTP."""
    name = f"{photos} {number + 1}"

    def load(rate: float) -> Load:
        folder = bench.raw / "locust" / name.replace(" ", "-") / f"{rate:.1f}"
        seconds = bench.suite.locust_seconds
        load = locust_run.run_rate(bench.http, folder, rate, seconds=seconds, photos=path)
        table.add(_row(name, photos, "http", int(rate + 0.999), rate, load))
        return load

    locust_run.find_held_rate(load, start=START, growth=1.3, trials=bench.suite.trials)


def _row(search: str, photos: str, protocol: str, users: int, asked: float, load: Load) -> Users:
    held = bool(asked) and locust_run.held(load, asked)
    figures = (load.requests, load.failures, load.rate, load.p50, load.p95, load.p99)
    reasons = json.dumps(dict(load.reasons))
    return Users(search, photos, protocol, users, asked, held, *figures, reasons)
