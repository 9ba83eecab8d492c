"""Run an HTTP server of a test in a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import HTTPServer
from typing import TypeVar

S = TypeVar("S", bound=HTTPServer)


@contextmanager
def in_thread(server: S, poll: float = 0.5) -> Iterator[S]:
    """Serve within the context, and close the server at its end.

    `poll`: seconds between two looks whether it is to stop.
    """
    with server:
        thread = threading.Thread(target=server.serve_forever, args=(poll,))
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
