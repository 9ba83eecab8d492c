"""Fair queuing of photos between API keys, within one process of the step.

Start-time fair queuing (Goyal, Vin, Cheng 1996) over threads: of all keys with waiting photos, the
next is the one whose photos have used the least time. No photo is interrupted. Therefore one thread
more is available than a single key may use, so that another key's photo starts at once, however
long the running ones take.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

SPARE = 1  # threads beyond those that one key may use
PATIENCE = 0.2  # seconds; a photo that has taken longer is not expected to end soon

Job = TypeVar("Job")


@dataclass
class _Key(Generic[Job]):
    """The photos of one key."""

    used: (
        float  # seconds of threads, starting at the queue's virtual time when its first photo came
    )
    waiting: deque[tuple[Job, int]] = field(default_factory=deque)  # jobs with their sizes
    running: int = 0


class FairQueue(Generic[Job]):
    """Runs jobs in threads, and shares the threads fairly between keys.

    Args:
        work: called with each job; must not raise.
        threads: how many a single key may use at a time.
        max_waiting: how many jobs of one key may wait; jobs without a key ("") are not limited.
        max_bytes: total size of waiting jobs above which `wait` blocks.
    """

    def __init__(
        self,
        work: Callable[[Job], object],
        *,
        threads: int,
        max_waiting: int,
        max_bytes: int,
    ) -> None:
        self._work = work
        self._threads = threads
        self._max_waiting = max_waiting
        self._max_bytes = max_bytes
        self._pool = ThreadPoolExecutor(threads + SPARE, thread_name_prefix="photo")
        self._changed = threading.Condition()
        self._keys: dict[str, _Key[Job]] = {}
        self._begun: list[float] = []  # when each running job began
        self._bytes = 0  # total size of the waiting jobs
        self._virtual = 0.0  # virtual time: `used` of the key that was chosen last

    def put(self, key: str, job: Job, size: int) -> Job | None:
        """Queue `job`, of `size` bytes; return the job that was dropped for it, if any.

        When a key's jobs reach `max_waiting`, the oldest of them is dropped.
        """
        with self._changed:
            entry = self._keys.setdefault(key, _Key(self._virtual))
            dropped = None
            if key and len(entry.waiting) >= self._max_waiting:
                dropped, its_size = entry.waiting.popleft()
                self._bytes -= its_size
            entry.waiting.append((job, size))
            self._bytes += size
            self._start()
            return dropped

    def wait(self) -> None:
        """Block until this process should take another request.

        That is when no job waits, or when no running job is expected to end soon (PATIENCE) and
        the waiting ones are within `max_bytes`. Until then requests stay in Triton's queue, where
        another process may take them.
        """
        with self._changed:
            while self._bytes > self._max_bytes or any(key.waiting for key in self._keys.values()):
                slow_in = max(self._begun) + PATIENCE - time.monotonic()
                if self._bytes <= self._max_bytes and slow_in <= 0:
                    return
                self._changed.wait(slow_in if slow_in > 0 else None)

    def close(self) -> None:
        """Wait until all jobs are done."""
        with self._changed:
            self._changed.wait_for(lambda: not self._keys)
        self._pool.shutdown(wait=True)

    def _start(self) -> None:
        """Start as many jobs as there are threads for."""
        while len(self._begun) < self._threads + SPARE:
            ready = [
                (key.used, name)
                for name, key in self._keys.items()
                if key.waiting and key.running < self._threads
            ]
            if not ready:
                return
            self._virtual, name = min(ready)
            chosen = self._keys[name]
            job, size = chosen.waiting.popleft()
            self._bytes -= size
            chosen.running += 1
            began = time.monotonic()
            self._begun.append(began)
            self._pool.submit(self._run, name, job, began)

    def _run(self, name: str, job: Job, began: float) -> None:
        try:
            self._work(job)
        finally:
            with self._changed:
                self._begun.remove(began)
                key = self._keys[name]
                key.used += time.monotonic() - began
                key.running -= 1
                if not key.running and not key.waiting:
                    del self._keys[name]
                self._start()
                self._changed.notify_all()
