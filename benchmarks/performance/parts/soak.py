"""Soak test: memory of all processes under a steady load of mixed photos, to reveal leaks."""

from __future__ import annotations

import math
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.common import names, processes
from benchmarks.common.rows import Run, Sample
from benchmarks.load import locust_run
from benchmarks.load.outcome import Load
from benchmarks.performance.bench import Bench

SHARE = 0.8  # of the rate held
# Crowds among the photos take longer than the 100 ms that is the limit for one face.
P95_LIMIT_MS = 1000.0
START = 10.0  # photos per second, first rate of the search
PERIOD = 1.0  # seconds between two samples


def measure(bench: Bench) -> None:
    """Write `soak.csv` (memory) and `soak_load.csv` (the load during it)."""
    if bench.pid is None:
        bench.note("memory is not measured: the suite did not start the server")
        return
    rate = bench.suite.soak_rate or _rate(bench)
    bench.note(f"mixed photos, {rate:.1f} per second, whether or not the server keeps up")
    table = bench.table("soak", Sample)
    loads = bench.table("soak_load", Run)
    seconds = bench.suite.soak_seconds
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        load = pool.submit(
            locust_run.run_rate,
            *(bench.http, Path(folder), rate),
            seconds=seconds,
            photos=bench.photos,
        )
        for index in bench.steps("soak", range(int(seconds / PERIOD))):
            time.sleep(max(0.0, began + index * PERIOD - time.monotonic()))
            now = time.monotonic() - began
            for process, size in processes.pss(bench.pid).items():
                table.add(Sample(round(now, 3), process, round(size, 3)))
        what = f"{names.SERVICE}, {names.MIXED} photos"
        loads.add(Run.of(0, what, math.ceil(rate), load.result()))


def _rate(bench: Bench) -> float:
    """Return SHARE of the highest rate of mixed photos that is held."""

    def load(rate: float) -> Load:
        seconds = bench.suite.locust_seconds
        with tempfile.TemporaryDirectory() as folder:
            return locust_run.run_rate(
                bench.http, Path(folder), rate, seconds=seconds, photos=bench.photos
            )

    held, tried = locust_run.find_held_rate(
        load, start=START, growth=1.3, limit_ms=P95_LIMIT_MS, trials=bench.suite.trials
    )
    if not held:
        held = min(tried)
        bench.note(f"no rate was held, not even {held:.1f} per second")
    bench.note(f"held at p95 < {P95_LIMIT_MS:.0f} ms: {held:.1f} mixed photos per second")
    return SHARE * held
