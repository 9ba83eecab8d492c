"""Cost of one more face in a photo, compared with the embedder's cost of a face in a batch."""

from __future__ import annotations

from functools import partial

import numpy as np
from aurum_client import FaceClient

from aurum import contract
from aurum.evaluation import photos
from benchmarks.baselines import in_process
from benchmarks.common import names
from benchmarks.common.rows import Run
from benchmarks.load import wrk
from benchmarks.performance.bench import Bench

BATCH = 8  # faces in a call of the embedder in process


def measure(bench: Bench) -> None:
    """Write `faces.csv`, where a row's size is the number of faces that the service finds."""
    table = bench.table("faces", Run)
    made = photos.tiled(bench.photo)
    with FaceClient(bench.http) as client:
        found = {count: len(client.analyze(photo)) for count, photo in made.items()}
    for shown, number in found.items():
        if number != shown:
            bench.note(f"in the photo of {shown} faces the service finds {number}")
    crops = np.random.default_rng(0).integers(0, 256, (BATCH, 112, 112, 3), np.uint8)
    graph = (bench.prepared.graphs[contract.EMBEDDING], "crops", crops)
    steps: list[int | None] = [None, *made]
    for index, count in bench.rounds("faces", steps):
        if count is None:
            load = in_process.run(in_process.graph, graph, bench.suite.seconds, 1)
            table.add(Run.of(index, names.EMBEDDING_IN_PROCESS, 1, load, size=BATCH))
            continue
        post = partial(wrk.post, bench.infer("analyze_faces"), wrk.Body(made[count]), 1)
        load, cpu = bench.with_cpu(partial(post, bench.suite.seconds))
        table.add(Run.of(index, names.PHOTO, 1, load, size=found[count], cpu_ms=cpu))
