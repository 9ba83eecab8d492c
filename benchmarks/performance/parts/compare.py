"""Compare the service with alternatives, and with the same work without a server.

Every round measures everything once, so that ratios are of the same minute. The alternatives work
as a plain service does, without a second look at each face (`refine` off), which the service is
measured with and without.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from aurum.settings import Settings
from benchmarks.baselines import competitor, in_process, orchestrated
from benchmarks.baselines.local import PLAIN, SERVED
from benchmarks.common import names
from benchmarks.common.rows import Run
from benchmarks.load import inputs, perf_analyzer, wrk
from benchmarks.load.outcome import Load
from benchmarks.performance.bench import Bench

Step = tuple[str, int, Callable[[], Load]]

LIKE_FOR_LIKE = (1, 8, 16)  # clients of the service with `refine` off


def measure(bench: Bench) -> None:
    """Write `compare.csv`."""
    table = bench.table("compare", Run)
    photo = bench.photo.read_bytes()
    one_look = replace(bench.settings, refine=False)
    with (
        tempfile.TemporaryDirectory(prefix="aurum-") as folder,
        competitor.running((PLAIN, SERVED), one_look) as urls,
    ):
        competitors = {names.COMPETITOR: urls[PLAIN], names.COMPETITOR_SERVED: urls[SERVED]}
        for addresses in ([bench.infer("analyze_faces")], *competitors.values()):
            wrk.spread(addresses, wrk.Body(photo), max(bench.suite.clients), 1)  # warm
        for index, (what, clients, load) in bench.rounds(
            "compare", _steps(bench, one_look, photo, competitors, Path(folder))
        ):
            ours = what in (names.SERVICE, names.SERVICE_PLAIN)
            result, cpu = bench.with_cpu(load) if ours else (load(), float("nan"))
            table.add(Run.of(index, what, clients, result, cpu_ms=cpu))


def _steps(
    bench: Bench,
    one_look: Settings,
    photo: bytes,
    competitors: dict[str, list[str]],
    folder: Path,
) -> list[Step]:
    seconds = bench.suite.seconds
    body = wrk.Body(photo)
    plain = wrk.body({"image": np.array([photo], np.object_)}, {"refine": False})
    workload = inputs.photos_of("analyze_faces", [photo], folder)

    def post(urls: list[str], clients: int, body: wrk.Body = body) -> Callable[[], Load]:
        return lambda: wrk.spread(urls, body, clients, seconds)

    def baseline(kind: str) -> Callable[[], Load]:
        arguments = (kind, one_look, photo)
        return lambda: in_process.run(in_process.analyze, arguments, seconds, in_process.cores())

    def over_grpc(clients: int) -> Callable[[], Load]:
        plan = perf_analyzer.steady(seconds)
        return lambda: perf_analyzer.run(bench.grpc, workload, clients, folder, plan).load

    def by_client(clients: int) -> Callable[[], Load]:
        arguments = (bench.grpc, one_look, photo, clients, seconds)
        return lambda: orchestrated.run(*arguments)

    steps: list[Step] = [
        (names.BASELINE, in_process.cores(), baseline(PLAIN)),
        (names.BASELINE_SERVED, in_process.cores(), baseline(SERVED)),
    ]
    for clients in bench.suite.clients:
        steps.append((names.SERVICE, clients, post([bench.infer("analyze_faces")], clients)))
        steps.append((names.COMPETITOR, clients, post(competitors[names.COMPETITOR], clients)))
    for clients in LIKE_FOR_LIKE:
        service = [bench.infer("analyze_faces")]
        steps.append((names.SERVICE_PLAIN, clients, post(service, clients, plain)))
    for clients in bench.suite.side_clients:
        steps += [
            (names.SERVICE_GRPC, clients, over_grpc(clients)),
            (names.COMPETITOR_SERVED, clients, post(competitors[names.COMPETITOR_SERVED], clients)),
            (names.ORCHESTRATED, clients, by_client(clients)),
        ]
    return steps
