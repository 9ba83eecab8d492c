"""NVIDIA's perf_analyzer over all models and pipelines, protocols and concurrencies."""

from __future__ import annotations

import tempfile
from pathlib import Path

from aurum.evaluation import photos
from benchmarks.load import inputs, perf_analyzer
from benchmarks.load.inputs import Workload
from benchmarks.performance.bench import Bench

FOLDER = "perf_analyzer"  # of its CSV files and logs, among the raw figures


def measure(bench: Bench) -> None:
    """Keep perf_analyzer's CSV and log of every run, named `<workload>-<protocol>-<clients>`."""
    out = bench.raw / FOLDER
    out.mkdir(exist_ok=True)
    plan = perf_analyzer.steady(bench.suite.sweep_seconds)
    urls = {"http": bench.http, "grpc": bench.grpc}
    with tempfile.TemporaryDirectory(prefix="aurum-") as folder:
        steps = [
            (workload, protocol, clients)
            for workload, concurrencies in _workloads(bench, Path(folder))
            for protocol in bench.suite.sweep_protocols
            # perf_analyzer 2.51 has request parameters over gRPC alone.
            if protocol == "grpc" or not workload.parameters
            for clients in concurrencies
        ]
        for workload, protocol, clients in bench.steps("perf_analyzer", steps):
            try:
                perf_analyzer.run(urls[protocol], workload, clients, out, plan)
            except perf_analyzer.PerfAnalyzerError as error:
                bench.note(f"{workload.name} over {protocol} at {clients}: {error}")


def _workloads(bench: Bench, folder: Path) -> list[tuple[Workload, tuple[int, ...]]]:
    """Each with its concurrencies."""
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
