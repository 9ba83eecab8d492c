"""How many requests are being worked on: counted in the pipelines' processes, read by the server's.

Triton 2.51 refuses the inner calls of requests that are already running once it has been asked to
stop, so the server has to know when nothing runs before it asks. Triton's own metrics don't tell.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

FOLDER_VARIABLE = "AURUM_RUN_DIR"  # set by the server for its processes, not a setting


class InFlight:
    """A counter that lives in a file of eight bytes; in memory alone, where nobody reads it."""

    def __init__(self) -> None:
        folder = os.environ.get(FOLDER_VARIABLE)
        self._lock = threading.Lock()
        self._count = (
            np.memmap(Path(folder) / f"in_flight.{os.getpid()}", np.int64, "w+", shape=1)
            if folder
            else np.zeros(1, np.int64)
        )

    def add(self, change: int) -> None:
        """Count `change` requests more (or less)."""
        with self._lock:
            self._count[0] += change


def wait_idle(folder: Path, timeout: float, alive: Callable[[], bool]) -> None:
    """Wait until nothing is in flight, `timeout` seconds at most, while the server is `alive`.

    Nothing means twice in a row, as a photo may be between two steps.
    """
    deadline = time.monotonic() + timeout
    idle = 0
    while idle < 2 and alive() and time.monotonic() < deadline:
        idle = idle + 1 if total(folder) == 0 else 0
        time.sleep(0.05)


def total(folder: Path) -> int:
    """Requests in flight in all processes that count in `folder`."""
    return sum(int(np.fromfile(path, np.int64)[0]) for path in folder.glob("in_flight.*"))
