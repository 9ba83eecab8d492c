"""How many photos Triton really computes together, and where their time goes, by its counters."""

from __future__ import annotations

from benchmarks import triton_stats, wrk
from benchmarks.bench import Bench
from benchmarks.rows import ModelStats


def measure(bench: Bench) -> None:
    """Write `batching.csv`: every model's counters under load by several numbers of clients."""
    table = bench.table("batching", ModelStats)
    body = wrk.Body(bench.photo.read_bytes())
    url = bench.infer("analyze_faces")
    wrk.post(url, body, max(bench.suite.batching_clients), 1)  # warm
    for index, clients in bench.rounds("batching", bench.suite.batching_clients):
        before = triton_stats.read(bench.http)
        wrk.post(url, body, clients, bench.suite.seconds)
        for row in triton_stats.between(before, triton_stats.read(bench.http), index, clients):
            table.add(row)
