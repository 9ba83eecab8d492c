"""Keep a server running: restart it when it, or one of its Python processes, dies or hangs.

The whole server is restarted even if only one Python process died. Triton would reload that model
by itself if its files were touched, but this takes as long (2 to 4 s under load; a full start takes
2 to 3 s), and the requests of the dead process would never be answered.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from aurum.server.server import Server, ServerError
from aurum.server.stubs import POLL_INTERVAL, Stubs

RESET_AFTER = 60.0  # reset the failure count after this many healthy seconds
# Seconds from each consecutive death to the next start: none at first, then doubling.
RESTART_DELAYS = (0.0, 0.5, 1.0, 2.0)


class _DiedError(Exception):
    """The server died during a start, but another attempt may succeed."""


class Supervisor:
    """Watches a started server until `stopping` is set; reports events through `say`."""

    def __init__(
        self, server: Server, stopping: threading.Event, say: Callable[[str], None]
    ) -> None:
        self._server = server
        self._stopping = stopping
        self._say = say
        self._stubs = Stubs(server.pid)

    def wait_ready(self) -> None:
        """Return when the server has answered, or a stop is requested.

        If the server dies in the meantime, it is restarted. Raises ServerError.
        """
        try:
            self._wait()
        except _DiedError as death:
            self._recover(str(death), 1)

    def watch(self) -> None:
        """Keep the server running until a stop is requested.

        Raises ServerError when it dies repeatedly; the message says why.
        """
        deaths = 0
        while not self._stopping.is_set():
            ready = time.monotonic()
            if not (reason := self._death()):
                return
            died = time.monotonic()
            if died - ready > RESET_AFTER:
                deaths = 0
            deaths = self._recover(reason, deaths + 1)
            if not self._stopping.is_set():
                self._tell(
                    "recovered",
                    f"the server answers again, after {time.monotonic() - died:.1f} s",
                )

    def _death(self) -> str:
        """Wait until something has died or hangs, and say what; empty after a stop."""
        watchdog = self._server.watchdog(self._stubs)
        try:
            while not self._stopping.wait(POLL_INTERVAL):
                if reason := self._found_dead() or watchdog.hung() or self._server.missing():
                    return reason
        finally:
            watchdog.close()
        return ""

    def _recover(self, reason: str, deaths: int) -> int:
        """Restart until the server answers; return the number of deaths until then."""
        while True:
            self._tell("died", reason)
            if deaths > len(RESTART_DELAYS):
                raise ServerError(
                    f"the server died {deaths} times in a row; the last reason: {reason}"
                )
            delay = RESTART_DELAYS[deaths - 1]
            self._say(f"restarting it{f' in {delay:g} s' if delay else ''}")
            self._server.give_up()
            if self._stopping.wait(delay):
                return deaths
            try:
                self._server.start()
                self._stubs = Stubs(self._server.pid)
                self._wait()
            except (ServerError, _DiedError) as error:
                reason = str(error)
                deaths += 1
            else:
                return deaths

    def _wait(self) -> None:
        """Wait until the server has answered. Raises ServerError and _DiedError."""
        waiter = _Waiting(self._server)
        while not self._stopping.is_set() and waiter.is_alive():
            waiter.join(POLL_INTERVAL)
            if death := self._found_dead():
                if self._server.failure_is_transient:
                    raise _DiedError(f"{death} during the start")
                raise ServerError(f"{death} during the start:\n{self._server.reasons()}")
        if not self._stopping.is_set():
            waiter.check()

    def _found_dead(self) -> str:
        """Say what has died; empty if nothing has."""
        if not self._server.running:
            return f"tritonserver ended ({self._server.describe_exit()})"
        if dead := self._stubs.dead():
            return f"the process of {', '.join(dead)} died"
        return ""

    def _tell(self, event: str, what: str) -> None:
        self._say(what)
        self._server.note(event, what)


class _Waiting(threading.Thread):
    """Waits for readiness in a thread, so that the main thread can react to Ctrl-C."""

    def __init__(self, server: Server) -> None:
        super().__init__(daemon=True)
        self._server = server
        self._error: ServerError | None = None
        self.start()

    def run(self) -> None:
        try:
            self._server.wait_ready()
        except ServerError as error:
            self._error = error

    def check(self) -> None:
        if self._error:
            raise self._error
