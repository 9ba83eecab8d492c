"""Measure the served graphs with onnxruntime's CUDA provider, batch 1 to 64.

    python -m benchmarks gpu --out results

This is also a part of the suite. Without a GPU, or with an onnxruntime built without CUDA, it only
reports that nothing was run.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from aurum.models import build
from aurum.settings import Settings
from benchmarks.baselines import in_process
from benchmarks.common import names
from benchmarks.common.rows import Run, Table
from benchmarks.load.outcome import Load
from benchmarks.performance.bench import Bench

PROVIDER = "CUDAExecutionProvider"
BATCHES = (1, 2, 4, 8, 16, 32, 64)
WARM = 5  # warm-up runs: CUDA selects its algorithms in the first
INPUTS = {
    names.DETECTION: ("images", (3, 640, 640)),
    names.EMBEDDING: ("crops", (112, 112, 3)),
}


def measure(bench: Bench) -> None:
    """Write `gpu.csv`, where a row's size is the batch, or note why nothing was run."""
    if reason := missing():
        bench.note(f"not run: {reason}")
        return
    table = bench.table("gpu", Run)
    for index in bench.steps("gpu", range(bench.suite.rounds)):
        for row in rows(bench.prepared.graphs, bench.suite.seconds, index):
            table.add(row)


def missing() -> str:
    """Return why nothing can be run here; empty if it can."""
    if PROVIDER not in ort.get_available_providers():
        return f"this onnxruntime has no {PROVIDER} (the wheel onnxruntime-gpu has it)"
    try:
        ort.InferenceSession(_tiny(), providers=[PROVIDER]).run(None, {"x": np.zeros(1, "f4")})
    except Exception as error:  # onnxruntime has no common base class for driver errors
        return f"no usable GPU: {error}"
    return ""


def rows(graphs: dict[str, Path], seconds: float, index: int) -> Iterator[Run]:
    """Measure each graph at each batch size for `seconds`."""
    for name, path in graphs.items():
        session = ort.InferenceSession(str(path), providers=[PROVIDER, "CPUExecutionProvider"])
        tensor, shape = INPUTS[name]
        outputs = [item.name for item in session.get_outputs()]
        for batch in BATCHES:
            data = np.random.default_rng(0).integers(0, 256, (batch, *shape), np.uint8)
            yield Run.of(
                index, name, 1, _timed(session, outputs, {tensor: data}, seconds), size=batch
            )


def _timed(session: Any, outputs: list[str], feed: dict[str, Any], seconds: float) -> Load:
    for _ in range(WARM):
        session.run(outputs, feed)
    return in_process.load_of([in_process.timed(lambda: session.run(outputs, feed), seconds)])


def _tiny() -> bytes:
    from onnx import parser  # noqa: PLC0415 - only needed if there may be a GPU

    model = parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[1] x) => (float[1] y) { y = Neg (x) }'
    )
    return bytes(model.SerializeToString())


def main() -> None:
    """Measure on this machine's GPU, if there is one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of gpu.csv")
    parser.add_argument("--seconds", type=float, default=3)
    given = parser.parse_args()
    if reason := missing():
        print(f"not run: {reason}")
        return
    given.out.mkdir(parents=True, exist_ok=True)
    table = Table(given.out / "gpu.csv", Run)
    for row in rows(build.prepare(Settings.from_env()).graphs, given.seconds, 0):
        table.add(row)
        print(
            f"{row.what} x{row.size}: {row.rate * row.size:.0f}/s, p50 {row.p50:.2f} ms", flush=True
        )
