"""Room in memory for the photos of one process: who finds none left waits for it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Admit = Callable[[int], None]


class Room:
    """So many bytes, given in the order in which they are asked for: no large photo waits for ever.

    Each takes what it needs at once, so that nobody who waits holds what others wait for.
    """

    def __init__(self, size: int) -> None:
        self._size = self._free = size
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()

    @contextmanager
    def visit(self) -> Iterator[Admit]:
        """Give a function that takes bytes, at most once; all are given back at the end."""
        taken = 0

        def admit(need: int) -> None:
            nonlocal taken
            taken = min(need, self._size)
            self._take(taken)

        try:
            yield admit
        finally:
            self._give(taken)

    def _take(self, need: int) -> None:
        turn = object()
        with self._changed:
            self._waiting.append(turn)
            self._changed.wait_for(lambda: self._waiting[0] is turn and self._free >= need)
            self._waiting.popleft()
            self._free -= need
            self._changed.notify_all()

    def _give(self, taken: int) -> None:
        with self._changed:
            self._free += taken
            self._changed.notify_all()
