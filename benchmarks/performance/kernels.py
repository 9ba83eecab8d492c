"""Time our kernels against ONNX Runtime's on the graphs that are built here, alone on one core.

    .venv/bin/python -m benchmarks kernels

Needs a quiet machine. `AURUM_CPU_WITHOUT=avx512f` hides instructions from our kernels, but not from
ONNX Runtime.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import onnxruntime as ort
from numpy.typing import NDArray

from aurum import contract, kernels
from aurum.contract import CROP_SIDE, SECOND_LOOK_SIDE
from aurum.errors import OperatorError
from aurum.imaging.decoding.decode import decode
from aurum.imaging.letterbox import letterbox, planar
from aurum.native import OPERATORS
from aurum.paths import PHOTO
from aurum.settings import Settings

DETECTOR_SIDES = (320, 512, 640, 1024)
BATCHES = (1, 8)
WARM = 5  # calls before the timing


def main() -> None:
    """Measure every model that has kernels; print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5, help="each measures both graphs in turn")
    parser.add_argument("--calls", type=int, default=60, help="of each graph in a round")
    given = parser.parse_args()
    if not kernels.find().name:
        raise OperatorError(f"no kernels run here: {kernels.find().reason}")
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    print(f"kernels: {kernels.find().name}; lowest of {given.rounds * given.calls} calls, ms\n")
    print("| model | input | plain | kernels | ratio | of the rounds |\n" + "| --- " * 6 + "|")
    for model, inputs in _inputs().items():
        plain = Settings.from_env().repositories / "model_repository" / model / "1" / "model.onnx"
        calls = [_session(plain), _session(kernels.beside(plain))]
        for name, batch in inputs.items():
            rounds = [[_lowest(partial(call, batch), given.calls) for call in calls]
                      for _ in range(given.rounds)]  # fmt: skip
            one, other = (min(times) * 1e3 for times in zip(*rounds, strict=True))
            ratios = [fast / slow for slow, fast in rounds]
            spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
            middle = statistics.median(ratios)
            print(f"| `{model}` | {name} | {one:.2f} | {other:.2f} | {middle:.2f} | {spread} |")


def _inputs() -> dict[str, dict[str, NDArray[np.uint8]]]:
    """By model, then by description: an input tensor."""
    photo = decode(PHOTO.read_bytes(), 1 << 24, 1 << 25)
    views = {f"{side}x{side}": planar(_enlarged(photo, side))[None] for side in DETECTOR_SIDES}
    return {
        contract.DETECTION: views,
        contract.LANDMARKS: {f"batch of {n}": _crops(SECOND_LOOK_SIDE, n) for n in BATCHES},
        contract.EMBEDDING: {f"batch of {n}": _crops(CROP_SIDE, n) for n in BATCHES},
    }


def _enlarged(photo: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    times = -(-side // max(photo.shape[:2]))
    return letterbox(photo.repeat(times, axis=0).repeat(times, axis=1), side).image


def _crops(side: int, count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (count, side, side, 3), np.uint8)


def _session(path: Path) -> Callable[[NDArray[np.uint8]], object]:
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.register_custom_ops_library(str(OPERATORS))
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    return lambda batch: session.run(None, {given.name: batch})


def _lowest(call: Callable[[], object], count: int) -> float:
    """Return the shortest of some calls' times, seconds."""
    times = []
    for _ in range(WARM + count):
        start = time.perf_counter()
        call()
        times.append(time.perf_counter() - start)
    return min(times[WARM:])


if __name__ == "__main__":
    main()
