"""Shared counters for a graceful shutdown: requests in flight, and whether new ones are admitted.

The pipelines' processes and the server share them through files. Triton 2.51 refuses the inner
(BLS) calls of running requests as soon as it is asked to stop, and it cannot be asked to refuse
only new requests. Therefore the step refuses new requests itself, and the server asks Triton to
stop once nothing is in flight. Triton's own metrics don't show that number.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path

import numpy as np

from aurum.contract import MAX_QUEUED

FOLDER_VARIABLE = "AURUM_RUN_DIR"  # set by the server for its processes, not a setting


class Admission(IntEnum):
    """Whether the step accepts new requests; set by the server."""

    OPEN = 0  # accept all
    CLOSING = 1  # accept as many as may have been queued by now (MAX_QUEUED), refuse the rest
    CLOSED = 2  # refuse all


class InFlight:
    """One process's count of requests in flight, beside the admission state that the server sets.

    Both are int64 numbers in a memory-mapped file in the folder FOLDER_VARIABLE. Without that
    variable no server reads them, and they stay in memory. Thread-safe.
    """

    def __init__(self) -> None:
        folder = os.environ.get(FOLDER_VARIABLE)
        self._lock = threading.Lock()
        self._left = MAX_QUEUED
        self._numbers = (
            np.memmap(Path(folder) / f"in_flight.{os.getpid()}", np.int64, "w+", shape=2)
            if folder
            else np.zeros(2, np.int64)
        )

    def begin(self) -> bool:
        """Count a new request and return True, or return False if it must be refused."""
        with self._lock:
            admission = self._numbers[1]
            if admission == Admission.CLOSED or (
                admission == Admission.CLOSING and self._left == 0
            ):
                return False
            self._left -= admission == Admission.CLOSING
            self._numbers[0] += 1
            return True

    @property
    def open(self) -> bool:
        """Whether the server is not being stopped."""
        return bool(self._numbers[1] == Admission.OPEN)

    def end(self) -> None:
        """Stop counting one request."""
        with self._lock:
            self._numbers[0] -= 1


def drain(folder: Path, admission: Admission, timeout: float, alive: Callable[[], bool]) -> None:
    """Set the admission state, then wait until no request is in flight.

    The count must be 0 twice in a row, because a photo may be between two steps.

    Args:
        folder: where the processes keep their counters.
        admission: CLOSING or CLOSED.
        timeout: the longest wait, in seconds.
        alive: whether the server still runs; the wait ends when it doesn't.
    """
    for path in folder.glob("in_flight.*"):
        np.memmap(path, np.int64, "r+", shape=2)[1] = admission
    deadline = time.monotonic() + timeout
    idle = 0
    while idle < 2 and alive() and time.monotonic() < deadline:
        idle = idle + 1 if count_in_flight(folder) == 0 else 0
        time.sleep(0.05)


def count_in_flight(folder: Path) -> int:
    """Count the requests in flight in all living processes with counters in `folder`."""
    return sum(
        int(np.fromfile(path, np.int64)[0])
        for path in folder.glob("in_flight.*")
        if is_alive(path.suffix[1:])
    )


def is_alive(pid: str) -> bool:
    """Whether the process exists and is not a zombie, whose requests would never end."""
    try:
        status = Path("/proc", pid, "stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"  # proc(5): the state follows the name
