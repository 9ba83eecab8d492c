"""Run the playground in a thread of the process that supervises Triton."""

from __future__ import annotations

import logging
import socket
import threading
import time
from types import TracebackType

import uvicorn

from aurum.errors import OperatorError
from aurum.playground.app import Guarded, create_app
from aurum.settings import Settings

HOST = "127.0.0.1"  # regardless of AURUM_HOST, since it needs no key


class Playground:
    """The playground's server, as a context manager that lets its requests finish on exit.

    Exit it before Triton stops. If `settings.playground_port` is taken, it uses a free port.
    """

    def __init__(self, settings: Settings) -> None:
        self._socket = _bind(settings.playground_port)
        self.port: int = self._socket.getsockname()[1]
        self._server = uvicorn.Server(
            uvicorn.Config(
                Guarded(create_app(settings)),
                http="h11",
                loop="asyncio",
                lifespan="on",
                log_level="warning",
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_graceful_shutdown=settings.drain_timeout,
            )
        )
        self._thread = threading.Thread(
            target=self._server.run, args=([self._socket],), name="playground", daemon=True
        )

    @property
    def url(self) -> str:
        """The page's address."""
        return f"http://{HOST}:{self.port}"

    def __enter__(self) -> Playground:
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise OperatorError("the playground did not start; AURUM_PLAYGROUND=0 turns it off")
            time.sleep(0.01)
        return self

    def kill(self) -> None:
        """Stop waiting for requests."""
        # uvicorn would log a traceback for every request that this cancels.
        logging.getLogger("uvicorn.error").setLevel(logging.CRITICAL)
        self._server.force_exit = True

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()


def _bind(port: int) -> socket.socket:
    """Bind a socket to the port, or to a free one if it is taken."""
    for wanted in (port, 0):
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((HOST, wanted))
        except OSError:
            bound.close()
            if not wanted:
                raise
        else:
            return bound
    raise AssertionError("unreachable")
