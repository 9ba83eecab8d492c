"""A memory budget for decoding photos, shared by the threads of one process."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Admit = Callable[[int], None]  # blocks until so many bytes are available, and reserves them

SMALL = 16  # a photo that needs 1 / SMALL of the budget or less never waits for larger ones


class MemoryBudget:
    """A budget of `size` bytes, plus 1 / SMALL of it that is reserved for small photos.

    Requests are served in order, so no large photo starves. A photo reserves all that it needs at
    once, so there can be no deadlock.
    """

    def __init__(self, size: int) -> None:
        self._large, self._small = _Part(size), _Part(size // SMALL)

    @contextmanager
    def reserve(self) -> Iterator[Admit]:
        """Yield a function that reserves bytes and may be called once; release them at the end.

        The function blocks until the bytes are available. A photo that needs more than the whole
        budget waits for all of it.
        """
        part, reserved = self._large, 0

        def admit(need: int) -> None:
            nonlocal part, reserved
            part = self._small if need <= self._small.size else self._large
            reserved = min(need, part.size)
            part.acquire(reserved)

        try:
            yield admit
        finally:
            part.release(reserved)


class _Part:
    def __init__(self, size: int) -> None:
        self.size = self._free = size
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()

    def acquire(self, need: int) -> None:
        turn = object()
        with self._changed:
            self._waiting.append(turn)
            self._changed.wait_for(lambda: self._waiting[0] is turn and self._free >= need)
            self._waiting.popleft()
            self._free -= need
            self._changed.notify_all()

    def release(self, reserved: int) -> None:
        with self._changed:
            self._free += reserved
            self._changed.notify_all()
