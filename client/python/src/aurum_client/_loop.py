"""An event loop in its own thread, for synchronous callers."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

from aurum_client._fork import never_finalize, restart_when_forked
from aurum_client.errors import ClientClosedError

T = TypeVar("T")


class _Running:
    """A thread with a running event loop."""

    def __init__(self, name: str) -> None:
        self.loop: asyncio.AbstractEventLoop
        self._end: asyncio.Event
        started = threading.Event()
        # A daemon thread, so that a client that was never closed doesn't keep the process alive.
        self.thread = threading.Thread(
            target=lambda: asyncio.run(self._serve(started)), name=name, daemon=True
        )
        self.thread.start()
        started.wait()

    async def _serve(self, started: threading.Event) -> None:
        self.loop = asyncio.get_running_loop()
        self._end = asyncio.Event()
        started.set()
        await self._end.wait()
        # After this, asyncio.run cancels the remaining tasks; run() reports the cancellation.

    def stop(self) -> None:
        """Stop the loop and wait for the thread to end."""
        self.loop.call_soon_threadsafe(self._end.set)
        self.thread.join()


class LoopThread:
    """Runs coroutines on behalf of any number of threads until it is closed.

    Its thread starts with the first coroutine; in a forked child, another one does.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._running: _Running | None = None
        self._closed = False
        # Prevents run() from submitting a coroutine to a loop that close() is about to stop.
        self._lock = threading.Lock()
        restart_when_forked(self)

    def forked(self) -> None:
        """Forget the parent's thread, and its lock, which another thread may have held."""
        never_finalize(self._running)
        self._running = None
        self._lock = threading.Lock()

    @property
    def closed(self) -> bool:
        """Whether :meth:`close` has been called."""
        return self._closed

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run ``coroutine`` in the thread and return its result or raise its error.

        Raises:
            ClientClosedError: the thread was closed before or during the call.
            RuntimeError: called from the thread itself, where waiting would deadlock.
        """
        if self._running and threading.current_thread() is self._running.thread:
            coroutine.close()
            raise RuntimeError("a callback of a client cannot wait for a call of the same client")
        with self._lock:
            if self._closed:
                coroutine.close()
                raise ClientClosedError("the client is closed")
            if self._running is None:
                self._running = _Running(self._name)
            future = asyncio.run_coroutine_threadsafe(coroutine, self._running.loop)
        try:
            return future.result()
        except concurrent.futures.CancelledError as error:
            raise ClientClosedError("the client was closed during the call") from error
        except BaseException:
            future.cancel()  # the caller no longer waits, as after Ctrl-C
            raise

    def close(self, last: Coroutine[Any, Any, None]) -> None:
        """Run ``last``, stop the loop and wait for the thread to end. Idempotent.

        Without a thread, nothing was opened that ``last`` would have to close.
        """
        with self._lock:
            running = None if self._closed else self._running
            self._closed = True
            if running is None:
                last.close()
                return
            future = asyncio.run_coroutine_threadsafe(last, running.loop)
        try:
            future.result()
        finally:
            running.stop()
