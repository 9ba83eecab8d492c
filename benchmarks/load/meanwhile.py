"""Work that goes on in a thread while something else is measured."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def repeated(work: Callable[[], None], period: float) -> Iterator[None]:
    """Do `work` every `period` seconds, counted from its end, until the context ends."""
    stop = threading.Event()

    def go_on() -> None:
        while not stop.wait(period):
            work()

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
