"""In-process baselines: the same work without a server, one worker per core."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from multiprocessing.synchronize import Barrier
from pathlib import Path
from threading import BrokenBarrierError
from typing import Any

import cv2
import numpy as np
import onnxruntime as ort

from aurum.settings import Settings
from benchmarks.load.outcome import Load

# Creates the work of one worker: a function that is called repeatedly.
Factory = Callable[..., Callable[[], object]]


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


def run(factory: Factory, arguments: tuple[Any, ...], seconds: float, workers: int) -> Load:
    """Run the work in `workers` processes with one thread each, for `seconds`.

    Factory and arguments must be picklable. The processes warm up, then start together.
    """
    return across([1] * workers, factory, arguments, seconds)


def across(
    threads: Sequence[int], factory: Factory, arguments: tuple[Any, ...], seconds: float
) -> Load:
    """Like `run`, with one process for each item of `threads`, its number of threads."""
    # Spawn, not fork: a forked process would be affected by the parent's threads.
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(sum(threads))
    with ProcessPoolExecutor(
        len(threads), mp_context=context, initializer=_share, initargs=(start,)
    ) as pool:
        # Each process gets one task, since none ends before all have started.
        tasks = [pool.submit(_process, count, factory, arguments, seconds) for count in threads]
        try:
            return load_of([taken for task in as_completed(tasks) for taken in task.result()])
        except BrokenBarrierError:
            errors = [error for task in tasks if (error := task.exception())]
            raise next(e for e in errors if not isinstance(e, BrokenBarrierError)) from None


def _share(start: Barrier) -> None:
    """Store the barrier, which a process can only receive when it starts."""
    global _start  # noqa: PLW0603 - that is what an initializer is for
    _start = start
    cv2.setNumThreads(1)


_start: Barrier


def _process(
    count: int, factory: Factory, arguments: tuple[Any, ...], seconds: float
) -> list[list[float]]:
    with ThreadPoolExecutor(count) as pool:
        tasks = [pool.submit(_work, factory, arguments, seconds) for _ in range(count)]
    return [task.result() for task in tasks]


def _work(factory: Factory, arguments: tuple[Any, ...], seconds: float) -> list[float]:
    try:
        call = factory(*arguments)
        for _ in range(3):
            call()
    except BaseException:
        _start.abort()  # otherwise the others would wait forever
        raise
    _start.wait()
    return timed(call, seconds)


def timed(call: Callable[[], object], seconds: float) -> list[float]:
    """Call repeatedly for `seconds`; return the duration of each call in seconds."""
    taken = []
    began = before = time.perf_counter()
    while before - began < seconds:
        call()
        now = time.perf_counter()
        taken.append(now - before)
        before = now
    return taken


def load_of(workers: Sequence[Sequence[float]]) -> Load:
    """Combine the call durations of several workers into a Load."""
    rate = sum(len(taken) / sum(taken) for taken in workers)
    p50, p95, p99 = np.percentile(np.concatenate(workers), (50, 95, 99)) * 1000
    return Load(sum(map(len, workers)), 0, rate, float(p50), float(p95), float(p99))


def analyze(kind: str, settings: Settings, photo: bytes) -> Callable[[], object]:
    """Create work: the whole pipeline for one photo, with `plain` or `served` models."""
    # Imported here, since it imports onnx, which takes a second and only this work needs.
    from benchmarks.baselines import local  # noqa: PLC0415

    service = local.load(kind, settings)
    return lambda: service.analyze(photo)


def graph(path: Path, name: str, data: Any) -> Callable[[], object]:
    """Create work: one call of a served graph with the input `data`."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    outputs = [item.name for item in session.get_outputs()]
    return lambda: session.run(outputs, {name: data})
