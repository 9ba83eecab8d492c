"""Repeated background work during a measurement."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def repeated(work: Callable[[], None], period: float) -> Iterator[None]:
    """Run `work` in a thread, with pauses of `period` seconds, until the context ends."""
    stop = threading.Event()

    def loop() -> None:
        while not stop.wait(period):
            work()

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
