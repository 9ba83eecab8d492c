"""An event loop in a thread of its own, for callers that have none."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from aurum_client.errors import ClientClosedError

T = TypeVar("T")


class LoopThread:
    """Runs coroutines for any number of threads, until it is closed."""

    def __init__(self, name: str) -> None:
        self._loop: asyncio.AbstractEventLoop
        self._stop: asyncio.Event
        self._closed = False
        # Keeps run() from handing a coroutine to a loop that close() is about to stop.
        self._lock = threading.Lock()
        started = threading.Event()
        # A daemon, so that a client that nobody closed doesn't keep the process alive.
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(started)), name=name, daemon=True
        )
        self._thread.start()
        started.wait()

    async def _serve(self, started: threading.Event) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        started.set()
        await self._stop.wait()
        # On return, asyncio.run cancels what is left, and run() reports that.

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` was called."""
        return self._closed

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run it in the thread and wait for its result, or raise what it raises.

        Raises:
            ClientClosedError: the thread was closed, before or meanwhile.
            RuntimeError: called in the thread itself, where waiting would never end.
        """
        if threading.current_thread() is self._thread:
            coroutine.close()
            raise RuntimeError("a callback of the client cannot wait for the same client")
        with self._lock:
            if self._closed:
                coroutine.close()
                raise ClientClosedError("the client is closed")
            future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except concurrent.futures.CancelledError as error:
            raise ClientClosedError("the client was closed during the call") from error
        except BaseException:
            future.cancel()  # nobody waits for it any more, as after Ctrl-C
            raise

    def close(self, last: Coroutine[Any, Any, None]) -> None:
        """Run ``last``, end the loop, and wait for the thread; harmless twice."""
        with self._lock:
            if self._closed:
                last.close()
                return
            self._closed = True
            future = asyncio.run_coroutine_threadsafe(last, self._loop)
        try:
            future.result()
        finally:
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()
