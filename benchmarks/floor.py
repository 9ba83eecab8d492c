"""The floor: photos a second of the same work without any server, one worker a core."""

from __future__ import annotations

import multiprocessing
import os
import time
from collections.abc import Mapping
from pathlib import Path

import cv2

from aurum.settings import Settings
from benchmarks.local import LocalService


def photos_per_second(
    graphs: Mapping[str, Path], settings: Settings, photo: bytes, seconds: float, workers: int = 0
) -> float:
    """Photos a second of `workers` processes (0: one a core) that analyze `photo` for `seconds`."""
    workers = workers or len(os.sched_getaffinity(0))
    # Spawned, not forked: a fork would inherit the threads of whoever measures.
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(workers)
    with context.Manager() as manager:
        rates = manager.list()
        processes = [
            context.Process(target=_work, args=(graphs, settings, photo, seconds, start, rates))
            for _ in range(workers)
        ]
        for process in processes:
            process.start()
        for process in processes:
            process.join()
        if len(rates) != workers:
            raise RuntimeError("a worker of the floor failed; its traceback is above")
        return float(sum(rates))


def _work(graphs, settings, photo, seconds, start, rates) -> None:  # type: ignore[no-untyped-def]
    cv2.setNumThreads(1)
    service = LocalService(graphs, settings)
    for _ in range(3):
        service.analyze(photo)
    start.wait()
    done, began = 0, time.perf_counter()
    while (elapsed := time.perf_counter() - began) < seconds:
        service.analyze(photo)
        done += 1
    rates.append(done / elapsed)
