"""perf_analyzer sweep over all models and pipelines, protocols and numbers of clients."""

from __future__ import annotations

import tempfile
from pathlib import Path

from aurum.evaluation import photos
from benchmarks.common.rows import Sweep
from benchmarks.load import inputs, perf_analyzer
from benchmarks.load.inputs import Workload
from benchmarks.performance.bench import Bench


def measure(bench: Bench) -> None:
    """Write `perf_analyzer.csv`: a row for each workload, protocol and number of clients."""
    table = bench.table("perf_analyzer", Sweep)
    plan = perf_analyzer.steady(bench.suite.sweep_seconds)
    urls = {"http": bench.http, "grpc": bench.grpc}
    with tempfile.TemporaryDirectory(prefix="aurum-") as folder:
        steps = [
            (workload, protocol, clients)
            for workload, concurrencies in _workloads(bench, Path(folder))
            for protocol in bench.suite.sweep_protocols
            # perf_analyzer 2.51 supports request parameters only over gRPC.
            if protocol == "grpc" or not workload.parameters
            for clients in concurrencies
        ]
        for workload, protocol, clients in bench.steps("perf_analyzer", steps):
            try:
                url = urls[protocol]
                table.add(perf_analyzer.run(url, workload, clients, Path(folder), plan).row)
            except perf_analyzer.PerfAnalyzerError as error:
                bench.note(f"{workload.name} over {protocol} at {clients}: {error}")


def _workloads(bench: Bench, folder: Path) -> list[tuple[Workload, tuple[int, ...]]]:
    """Return the workloads, each with its numbers of clients."""
    suite = bench.suite
    plain = inputs.write([bench.photo], bench.http, folder, bench.settings)
    made = photos.tiled(bench.photo)
    by_faces = [
        inputs.photos_of(f"analyze_faces_{count}", [photo], folder, faces=count > 0)
        for count, photo in made.items()
    ]
    return [
        *((workload, suite.sweep) for workload in plain),
        *((workload, suite.sweep_faces) for workload in by_faces),
    ]
