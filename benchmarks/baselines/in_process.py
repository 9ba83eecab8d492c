"""The in-process baseline: the same work without any server, one worker per core."""

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

# Makes the work of one worker: a function to be called again and again.
Factory = Callable[..., Callable[[], object]]


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0))


def run(factory: Factory, arguments: tuple[Any, ...], seconds: float, workers: int) -> Load:
    """Call the work of `workers` processes for `seconds`, each with one thread.

    All of it must be picklable. The processes are warm, and begin together.
    """
    return across([1] * workers, factory, arguments, seconds)


def across(
    threads: Sequence[int], factory: Factory, arguments: tuple[Any, ...], seconds: float
) -> Load:
    """As `run`, with a process for each of `threads`, which has so many threads."""
    # Spawned, not forked: a fork would inherit the threads of whoever measures.
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(sum(threads))
    with ProcessPoolExecutor(
        len(threads), mp_context=context, initializer=_share, initargs=(start,)
    ) as pool:
        # Each process gets one of them: none ends before all have begun.
        tasks = [pool.submit(_process, count, factory, arguments, seconds) for count in threads]
        try:
            return load_of([taken for task in as_completed(tasks) for taken in task.result()])
        except BrokenBarrierError:
            errors = [error for task in tasks if (error := task.exception())]
            raise next(e for e in errors if not isinstance(e, BrokenBarrierError)) from None


def _share(start: Barrier) -> None:
    """Keep what a process can only be given when it starts."""
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
        _start.abort()  # or the others would wait for ever
        raise
    _start.wait()
    return timed(call, seconds)


def timed(call: Callable[[], object], seconds: float) -> list[float]:
    """Call for `seconds`, and give how long each call took, in seconds."""
    taken = []
    began = before = time.perf_counter()
    while before - began < seconds:
        call()
        now = time.perf_counter()
        taken.append(now - before)
        before = now
    return taken


def load_of(workers: Sequence[Sequence[float]]) -> Load:
    """The load of several workers, each given by how long its calls took."""
    rate = sum(len(taken) / sum(taken) for taken in workers)
    p50, p95, p99 = np.percentile(np.concatenate(workers), (50, 95, 99)) * 1000
    return Load(sum(map(len, workers)), 0, rate, float(p50), float(p95), float(p99))


def analyze(kind: str, settings: Settings, photo: bytes) -> Callable[[], object]:
    """Work: the whole pipeline for one photo, over `plain` or `served` models."""
    # Here, as it brings onnx, which takes a second to load that the other work doesn't need.
    from benchmarks.baselines import local  # noqa: PLC0415

    service = local.load(kind, settings)
    return lambda: service.analyze(photo)


def graph(path: Path, name: str, data: Any) -> Callable[[], object]:
    """Work: one call of a served graph with the input `data`."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    outputs = [item.name for item in session.get_outputs()]
    return lambda: session.run(outputs, {name: data})
