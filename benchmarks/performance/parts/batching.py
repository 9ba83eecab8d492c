"""Batching: actual batch sizes and times by model, from Triton's counters."""

from __future__ import annotations

from dataclasses import replace

from aurum import contract
from benchmarks.common import triton_stats
from benchmarks.common.rows import ModelStats
from benchmarks.load import wrk
from benchmarks.performance.bench import Bench
from benchmarks.performance.parts import models

PIPELINE = "analyze_faces"


def measure(bench: Bench) -> None:
    """Write `batching.csv`: every model's counters under load, by number of clients.

    The load is on the pipeline, whose step calls the models, and then on each model directly.
    """
    table = bench.table("batching", ModelStats)
    image, crop = models.tensors(bench)
    bodies = {
        PIPELINE: wrk.Body(bench.photo.read_bytes()),
        contract.DETECTION: wrk.body({"images": image}),
        contract.EMBEDDING: wrk.body({"crops": crop}),
    }
    steps = [
        (called, clients)
        for called in bodies
        for clients in (
            bench.suite.batching_clients if called == PIPELINE else bench.suite.side_clients
        )
    ]
    wrk.post(bench.infer(PIPELINE), bodies[PIPELINE], max(bench.suite.batching_clients), 1)  # warm
    for index, (called, clients) in bench.rounds("batching", steps):
        before = triton_stats.read(bench.http)
        wrk.post(bench.infer(called), bodies[called], clients, bench.suite.seconds)
        for row in triton_stats.between(before, triton_stats.read(bench.http), index, clients):
            if called == PIPELINE:
                table.add(row)
            elif row.model == called:  # other rows come from the last photos of an earlier load
                table.add(replace(row, model=f"{called}, by itself"))
