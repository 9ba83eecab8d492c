"""How many requests are being worked on, and whether more are taken: numbers that the pipelines'
processes and the server share.

Triton 2.51 refuses the inner calls of requests that are already running once it has been asked to
stop, and can't be told to take no more before that. So the steps refuse for it, and the server
asks it to stop when nothing runs. Triton's own metrics don't tell.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from enum import IntEnum
from pathlib import Path

import numpy as np

# So many requests may wait in Triton's queue before a step when the server is told to stop: what
# the gateway lets through by default, over both protocols.
WAITING = 128
FOLDER_VARIABLE = "AURUM_RUN_DIR"  # set by the server for its processes, not a setting


class Door(IntEnum):
    """What the server has told the steps to do with requests that come."""

    OPEN = 0
    CLOSING = 1  # answer as many as may have waited in the queue by now, refuse what comes then
    CLOSED = 2  # refuse at once


class InFlight:
    """A counter and the door, in a file of two numbers; in memory alone, where nobody reads it."""

    def __init__(self) -> None:
        folder = os.environ.get(FOLDER_VARIABLE)
        self._lock = threading.Lock()
        self._left = WAITING
        self._numbers = (
            np.memmap(Path(folder) / f"in_flight.{os.getpid()}", np.int64, "w+", shape=2)
            if folder
            else np.zeros(2, np.int64)
        )

    def begin(self) -> bool:
        """Count one request more; False, and nothing counted, where no more are taken."""
        with self._lock:
            door = self._numbers[1]
            if door == Door.CLOSED or (door == Door.CLOSING and self._left == 0):
                return False
            self._left -= door == Door.CLOSING
            self._numbers[0] += 1
            return True

    def end(self) -> None:
        """Count one request less."""
        with self._lock:
            self._numbers[0] -= 1


def drain(folder: Path, door: Door, timeout: float, alive: Callable[[], bool]) -> None:
    """Take no more, and wait until nothing is in flight.

    At most `timeout` seconds, and while the server is `alive`. Nothing means twice in a row, as a
    photo may be between two steps.
    """
    for path in folder.glob("in_flight.*"):
        np.memmap(path, np.int64, "r+", shape=2)[1] = door
    deadline = time.monotonic() + timeout
    idle = 0
    while idle < 2 and alive() and time.monotonic() < deadline:
        idle = idle + 1 if total(folder) == 0 else 0
        time.sleep(0.05)


def total(folder: Path) -> int:
    """Requests in flight in all processes that count in `folder` and live."""
    return sum(
        int(np.fromfile(path, np.int64)[0])
        for path in folder.glob("in_flight.*")
        if lives(path.suffix[1:])
    )


def lives(pid: str) -> bool:
    """Whether a process is there and no zombie: what a dead one worked on never ends."""
    try:
        status = Path("/proc", pid, "stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"  # proc(5): the state is behind the name
