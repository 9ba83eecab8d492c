"""Memory of all processes of the server under load, for as long as a leak needs to show."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from benchmarks import names, processes, wrk
from benchmarks.bench import Bench
from benchmarks.rows import Run, Sample

CLIENTS = 16
PERIOD = 1.0  # seconds between two samples


def measure(bench: Bench) -> None:
    """Write `soak.csv`, the memory, and `soak_load.csv`, the load at the same time."""
    if bench.pid is None:
        bench.note("memory is not measured: the server is not one that the suite started")
        return
    table = bench.table("soak", Sample)
    loads = bench.table("soak_load", Run)
    body = wrk.Body(bench.photo.read_bytes())
    seconds = bench.suite.soak_seconds
    with ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        load = pool.submit(wrk.post, bench.infer("analyze_faces"), body, CLIENTS, seconds)
        for index in bench.steps("soak", range(int(seconds / PERIOD))):
            time.sleep(max(0.0, began + index * PERIOD - time.monotonic()))
            now = time.monotonic() - began
            for process, size in processes.pss(bench.pid).items():
                table.add(Sample(round(now, 3), process, round(size, 3)))
        loads.add(Run.of(0, names.SERVICE, CLIENTS, load.result()))
