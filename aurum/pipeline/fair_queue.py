"""Fair queuing of photos between API keys, within one process of a step.

Start-time fair queuing (Goyal, Vin, Cheng 1996) over threads: of all keys that have photos
waiting, the one whose photos have taken least time is next. No photo is interrupted, so one more
thread than a single key may have stands by: another key's photo begins at once, however long those
in work take.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Generic, TypeVar

SPARE = 1  # threads beyond those that one key may have
PATIENCE = 0.2  # seconds; photos in work for longer don't end soon

Job = TypeVar("Job")


@dataclass
class _Key(Generic[Job]):
    """The photos of one key."""

    used: float  # seconds of threads, counted on from what others had when its first photo came
    waiting: deque[tuple[Job, int]] = field(default_factory=deque)  # with their sizes
    running: int = 0


class FairQueue(Generic[Job]):
    """Runs jobs in threads, so that no key's keep another's waiting for long.

    Args:
        work: what to do with a job; must not raise.
        threads: that a single key may have.
        most_waiting: jobs of one key that may wait; of no key (""), as many as come.
        most_bytes: of all jobs that wait. Where that is reached, `put` returns only when less wait.
    """

    def __init__(
        self,
        work: Callable[[Job], object],
        *,
        threads: int,
        most_waiting: int,
        most_bytes: int,
    ) -> None:
        self._work = work
        self._threads = threads
        self._most_waiting = most_waiting
        self._most_bytes = most_bytes
        self._pool = ThreadPoolExecutor(threads + SPARE, thread_name_prefix="photo")
        self._changed = threading.Condition()
        self._keys: dict[str, _Key[Job]] = {}
        self._begun: list[float] = []  # when each running job began
        self._bytes = 0  # of the waiting
        self._virtual = 0.0  # the `used` of the key that was last chosen

    def put(self, key: str, job: Job, size: int) -> Job | None:
        """Run `job`, of `size` bytes, when its turn comes; give the job that left for it, if any.

        That is the key's oldest, where it had as many waiting as it may.
        """
        with self._changed:
            entry = self._keys.setdefault(key, _Key(self._virtual))
            left = None
            if key and len(entry.waiting) >= self._most_waiting:
                left, its_size = entry.waiting.popleft()
                self._bytes -= its_size
            entry.waiting.append((job, size))
            self._bytes += size
            self._start()
            return left

    def wait(self) -> None:
        """Return when it is time for the next `put`.

        That is when no job waits; else when none of those in work is about to end. What stays in
        front of the queue may be taken by another process, so nothing is taken before that.
        """
        with self._changed:
            while self._bytes > self._most_bytes or any(key.waiting for key in self._keys.values()):
                slow_in = max(self._begun) + PATIENCE - time.monotonic()
                if self._bytes <= self._most_bytes and slow_in <= 0:
                    return
                self._changed.wait(slow_in if slow_in > 0 else None)

    def close(self) -> None:
        """Wait until every job has been done."""
        with self._changed:
            self._changed.wait_for(lambda: not self._keys)
        self._pool.shutdown(wait=True)

    def _start(self) -> None:
        """Begin as many jobs as there are threads for."""
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
