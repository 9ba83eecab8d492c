"""Memory and CPU time of a server and all its child processes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import psutil

from benchmarks.load.meanwhile import repeated
from benchmarks.load.outcome import Load

MEGABYTE = 10**6


def tree(pid: int) -> Iterator[psutil.Process]:
    """Yield the process and all its descendants."""
    root = psutil.Process(pid)
    yield root
    yield from root.children(recursive=True)


def pss(pid: int) -> dict[str, float]:
    """Return the proportional set size of each process, in 10^6 bytes."""
    sizes: dict[str, float] = {}
    for process in tree(pid):
        unique = _unique(name(process), sizes)
        sizes[unique] = process.memory_full_info().pss / MEGABYTE
    return sizes


def memory(*pids: int) -> float:
    """Return the total proportional set size of all processes, in 10^6 bytes."""
    return sum(sum(pss(pid).values()) for pid in pids)


@contextmanager
def sampled(*pids: int, period: float) -> Iterator[list[float]]:
    """Sample `memory` now and every `period` seconds within the context, while all are alive."""
    samples = [memory(*pids)]

    def sample() -> None:
        with suppress(psutil.NoSuchProcess):
            samples.append(memory(*pids))

    with repeated(sample, period):
        yield samples


def cpu_seconds(*pids: int) -> float:
    """Return the CPU time of all processes so far, user and system, including ended children."""
    times = [process.cpu_times() for pid in pids for process in tree(pid)]
    return float(
        sum(time.user + time.system + time.children_user + time.children_system for time in times)
    )


def with_cpu(pid: int | None, measure: Callable[[], Load]) -> tuple[Load, float]:
    """Run `measure`; return its load, and the CPU time per request of a process tree in ms.

    The time is NaN if nothing was answered, or if the process is unknown (None).
    """
    before = cpu_seconds(pid) if pid else math.nan
    load = measure()
    spent = cpu_seconds(pid) - before if pid else math.nan
    return load, spent * 1000 / load.requests if load.requests else math.nan


def name(process: psutil.Process) -> str:
    """Return `tritonserver`, or the name of the step that a Python stub runs."""
    command = process.cmdline()
    if len(command) < 3 or not command[0].endswith("triton_python_backend_stub"):
        return str(process.name())
    # The second-to-last argument is the model's instance, such as each_face_0_0.
    return re.sub(r"(_\d+)+$", "", command[-2])


def server_of(pid: int) -> psutil.Process | None:
    """Return the tritonserver that a process has started; None if there is none yet."""
    for child in psutil.Process(pid).children():
        with suppress(psutil.NoSuchProcess):  # it ended after it was listed
            if child.name() == "tritonserver":
                return child
    return None


def _unique(name: str, taken: dict[str, float]) -> str:
    """Return `name`, with a number appended if it is taken."""
    number, chosen = 1, name
    while chosen in taken:
        number += 1
        chosen = f"{name} {number}"
    return chosen
