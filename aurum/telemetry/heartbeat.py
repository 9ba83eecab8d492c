"""Signs of life of a step's process, which the server's supervisor reads from a file.

A process that is stopped, or whose threads wait for one that keeps Python's lock, no longer counts
on. A photo that is never finished shows by its CPU time, which no load by others adds to.
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

from aurum.drain import FOLDER_VARIABLE, lives

BEAT = 0.5  # seconds
PREFIX = "pulse."


@dataclass(frozen=True)
class Signs:
    """What a process has said of itself last."""

    beats: int
    longest: float  # CPU seconds that the longest photo in work has taken


class Pulse:
    """Counts beats in a thread of its own; does nothing where no supervisor reads it."""

    def __init__(self) -> None:
        self._working: dict[int, float] = {}  # by thread: its CPU time when its photo began
        self._closing = threading.Event()
        folder = os.environ.get(FOLDER_VARIABLE)
        self._path = Path(folder) / f"{PREFIX}{os.getpid()}" if folder else None
        if self._path:
            self._numbers = np.memmap(self._path, np.float64, "w+", shape=2)
            threading.Thread(target=self._run, name="pulse", daemon=True).start()

    @contextmanager
    def work(self) -> Iterator[None]:
        """One photo is worked on by this thread."""
        thread = threading.get_ident()
        self._working[thread] = time.thread_time()
        try:
            yield
        finally:
            del self._working[thread]

    def close(self) -> None:
        """Say no more: the process is asked to end."""
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
        except (KeyError, OSError):  # its photo has ended meanwhile
            return 0.0


def read(folder: Path) -> dict[int, Signs]:
    """The signs of all living processes that count in `folder`, by process id."""
    found = {}
    for path in folder.glob(f"{PREFIX}*"):
        pid = path.suffix[1:]
        try:
            numbers = np.fromfile(path, np.float64, 2)
        except OSError:
            continue  # removed meanwhile
        if len(numbers) == 2 and lives(pid):
            found[int(pid)] = Signs(int(numbers[0]), float(numbers[1]))
    return found
