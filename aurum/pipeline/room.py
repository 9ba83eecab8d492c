"""Room in memory for the photos of one process: who finds none left waits for it."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Admit = Callable[[int], None]

SMALL = 16  # a photo that needs this share of the room or less never waits for larger ones


class Room:
    """So many bytes, and a sixteenth more in which only small photos find a place.

    Each is given in the order in which it is asked for: no large photo waits for ever. Each photo
    takes what it needs at once, so that nobody who waits holds what others wait for.
    """

    def __init__(self, size: int) -> None:
        self._large, self._small = _Part(size), _Part(size // SMALL)

    @contextmanager
    def visit(self) -> Iterator[Admit]:
        """Give a function that takes bytes, at most once; all are given back at the end."""
        part, taken = self._large, 0

        def admit(need: int) -> None:
            nonlocal part, taken
            part = self._small if need <= self._small.size else self._large
            taken = min(need, part.size)
            part.take(taken)

        try:
            yield admit
        finally:
            part.give(taken)


class _Part:
    def __init__(self, size: int) -> None:
        self.size = self._free = size
        self._changed = threading.Condition()
        self._waiting: deque[object] = deque()

    def take(self, need: int) -> None:
        turn = object()
        with self._changed:
            self._waiting.append(turn)
            self._changed.wait_for(lambda: self._waiting[0] is turn and self._free >= need)
            self._waiting.popleft()
            self._free -= need
            self._changed.notify_all()

    def give(self, taken: int) -> None:
        with self._changed:
            self._free += taken
            self._changed.notify_all()
