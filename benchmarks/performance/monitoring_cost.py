"""``python -m benchmarks monitoring-cost``: measure the cost of metrics, logs and percentiles.

First the times of the parts alone, then the CPU time per photo on real servers, in interleaved
rounds: as shipped, without Triton's percentiles, and with a log line for every request.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
import tritonclient.grpc as triton_grpc
from aurum_client import FaceClient

from aurum.contract import PIPELINES
from aurum.paths import PHOTO
from aurum.server import ephemeral, triton_version
from aurum.server.ephemeral import Service
from aurum.server.server import Server
from aurum.settings import Settings
from aurum.telemetry.log import RequestLog
from aurum.telemetry.metrics import Counts
from aurum.telemetry.record import Record
from benchmarks.common import processes

# A model that increments a hundred Triton metrics, and returns the microseconds per metric.
CONFIG = """name: "increments" backend: "python" max_batch_size: 0
input [ { name: "rounds" data_type: TYPE_INT32 dims: [ 1 ] } ]
output [ { name: "microseconds" data_type: TYPE_FP32 dims: [ 1 ] } ]
instance_group [ { kind: KIND_CPU } ]"""
MODEL = """
import time
import numpy as np
import triton_python_backend_utils as pb

class TritonPythonModel:
    def initialize(self, args):
        self.family = pb.MetricFamily(name="t", description="t", kind=pb.MetricFamily.COUNTER)
        self.metrics = [self.family.Metric(labels={"n": str(n)}) for n in range(100)]

    def execute(self, requests):
        start = time.perf_counter()
        for metric in self.metrics:
            metric.increment(1)
        took = np.array([(time.perf_counter() - start) * 1e4], np.float32)
        return [pb.InferenceResponse([pb.Tensor("microseconds", took)]) for _ in requests]
"""


def microseconds(work: Callable[[], object], times: int = 5000) -> float:
    """Return the microseconds per call, the best of five rounds."""
    best = float("inf")
    for _ in range(5):
        start = perf_counter()
        for _ in range(times):
            work()
        best = min(best, perf_counter() - start)
    return best / times * 1e6


def parts() -> dict[str, float]:
    """Measure the monitoring work of the pipelines' Python code, in microseconds."""
    record = Record("analyze_faces", "a-request", faces=3, sides=[640], quality=[0.5, 0.6, 0.7])
    record.end()
    counts = Counts(PIPELINES)
    log = RequestLog("all", lambda text: None)
    return {
        "count a photo of three faces": microseconds(lambda: counts.add(record)),
        "make its log line": microseconds(lambda: log.add(record)),
        "read all series (once a second)": microseconds(counts.series, 500),
    }


@contextmanager
def server(folder: Path, settings: Settings, latencies: tuple[str, ...]) -> Iterator[Service]:
    """Run a server with the flags `latencies` and the model `increments`."""
    settings, prepared = ephemeral.prepare_repositories(settings, folder)
    ephemeral.add_model(folder, "increments", CONFIG, MODEL)
    shipped, triton_version.SUMMARIES = triton_version.SUMMARIES, latencies
    try:
        running = Server(settings)
        running.start()
    finally:
        triton_version.SUMMARIES = shipped
    try:
        running.wait_ready()
        yield Service(running, prepared)
    finally:
        running.stop()


def increment(service: Service) -> float:
    """Return the microseconds per increment of a Triton metric, the median of twenty calls."""
    rounds = triton_grpc.InferInput("rounds", [1], "INT32")
    rounds.set_data_from_numpy(np.ones(1, np.int32))
    with triton_grpc.InferenceServerClient(f"127.0.0.1:{service.settings.grpc_port}") as client:
        answers = [client.infer("increments", [rounds]) for _ in range(20)]
    return statistics.median(float(a.as_numpy("microseconds")[0]) for a in answers)


def main() -> None:
    """Measure and print one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--photos", type=int, default=150)
    given = parser.parse_args()
    shipped = Settings.from_env()
    variants: dict[str, tuple[Settings, tuple[str, ...]]] = {
        "as shipped": (shipped, triton_version.SUMMARIES),
        "without percentiles": (shipped, ()),
        "a log line for every request": (
            replace(shipped, request_log="all"),
            triton_version.SUMMARIES,
        ),
    }
    result: dict[str, Any] = {
        "microseconds": {name: round(value, 1) for name, value in parts().items()}
    }
    costs: dict[str, list[float]] = {name: [] for name in variants}
    with ExitStack() as stack:
        services = {}
        for name, (settings, latencies) in variants.items():
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            services[name] = stack.enter_context(server(folder, settings, latencies))
        result["microseconds"]["change one of Triton's metrics"] = round(
            increment(services["as shipped"]), 1
        )
        for _ in range(given.rounds):
            for name, service in services.items():
                before = processes.cpu_seconds(service.server.pid)
                with FaceClient(service.urls[1], timeout=120) as client:
                    client.analyze_many([PHOTO.read_bytes()] * given.photos, concurrency=4)
                used = processes.cpu_seconds(service.server.pid) - before
                costs[name].append(used / given.photos * 1000)
    base = costs["as shipped"]
    result["CPU ms a photo, median"] = {
        name: round(statistics.median(values), 2) for name, values in costs.items()
    }
    result["ratio to as shipped, median and range of rounds"] = {
        name: [
            round(f([a / b for a, b in zip(values, base, strict=True)]), 3)
            for f in (statistics.median, min, max)
        ]
        for name, values in costs.items()
    }
    print(json.dumps(result, indent=2))
