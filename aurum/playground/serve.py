"""The playground in a thread of its own, beside the process that watches Triton."""

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

HOST = "127.0.0.1"  # whatever AURUM_HOST says: it has no key


class Playground:
    """Use as a context manager; leaving it lets its requests finish, so leave it before Triton's.

    Where `settings.playground_port` is taken, another port is.
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
        """Address of the page."""
        return f"http://{HOST}:{self.port}"

    def __enter__(self) -> Playground:
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise OperatorError("the playground didn't start; AURUM_PLAYGROUND=0 leaves it out")
            time.sleep(0.01)
        return self

    def kill(self) -> None:
        """Don't wait for requests any longer."""
        # uvicorn would show a traceback of everything that this cuts off.
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
    """A socket on the port; on one that is free where that one is taken."""
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
