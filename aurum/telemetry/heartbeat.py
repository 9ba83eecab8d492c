"""Heartbeats of the step's processes, which the server's supervisor reads from files.

The beat count of a process stands still when the process is stopped, or when its threads wait for
one that holds the GIL. A photo that never finishes shows in its CPU time, which, unlike wall time,
doesn't grow because other processes keep the machine busy.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from aurum.drain import FOLDER_VARIABLE, is_alive

BEAT = 0.5  # seconds between two beats
PREFIX = "heartbeat."  # of the files' names; the process id follows


@dataclass(frozen=True)
class Reading:
    """The last heartbeat of one process."""

    beats: int  # since the process started
    longest: float  # CPU seconds spent so far on the slowest photo in progress; 0 without one


class Heartbeat:
    """Writes this process's heartbeat from a thread of its own.

    Does nothing without FOLDER_VARIABLE, as no supervisor would read it.
    """

    def __init__(self) -> None:
        self._working: dict[int, float] = {}  # by thread: its CPU time when its photo began
        self._closing = threading.Event()
        folder = os.environ.get(FOLDER_VARIABLE)
        self._path = Path(folder) / f"{PREFIX}{os.getpid()}" if folder else None
        if self._path:
            self._numbers = np.memmap(self._path, np.float64, "w+", shape=2)
            threading.Thread(target=self._run, name="heartbeat", daemon=True).start()

    @contextmanager
    def work(self) -> Iterator[None]:
        """Mark the calling thread as working on a photo."""
        thread = threading.get_ident()
        self._working[thread] = time.thread_time()
        try:
            yield
        finally:
            del self._working[thread]

    def close(self) -> None:
        """Stop the heartbeat and remove its file, because the process was asked to end."""
        self._closing.set()
        if self._path:
            self._path.unlink(missing_ok=True)

    def _run(self) -> None:
        while not self._closing.wait(BEAT):
            self._numbers[1] = max(map(self._seconds, list(self._working)), default=0.0)
            self._numbers[0] += 1

    def _seconds(self, thread: int) -> float:
        try:
            now = time.clock_gettime(time.pthread_getcpuclockid(thread))
            return now - self._working[thread]
        except (KeyError, OSError):  # the photo has just been finished
            return 0.0


def read(folder: Path) -> dict[int, Reading]:
    """Read the last heartbeats of all living processes in `folder`, by process id."""
    readings = {}
    for path in folder.glob(f"{PREFIX}*"):
        pid = path.suffix[1:]
        try:
            numbers = np.fromfile(path, np.float64, 2)
        except OSError:
            continue  # just removed
        if len(numbers) == 2 and is_alive(pid):
            readings[int(pid)] = Reading(int(numbers[0]), float(numbers[1]))
    return readings
