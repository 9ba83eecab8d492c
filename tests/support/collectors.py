"""An OpenTelemetry collector for OTLP in JSON over HTTP that keeps what it receives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from in_thread import in_thread


class Collector(ThreadingHTTPServer):
    """Each request's path and body are in `received`."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.received: list[tuple[str, Any]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.path, json.loads(body)))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *args: object) -> None:
        """Keep requests out of the tests' output."""


@contextmanager
def collecting() -> Iterator[Collector]:
    """A running collector."""
    with in_thread(Collector()) as server:
        yield server


def spans(collector: Collector) -> dict[str, list[dict[str, Any]]]:
    """All spans received so far, by the trace's id."""
    found: dict[str, list[dict[str, Any]]] = {}
    for _, body in list(collector.received):
        for resource in body["resourceSpans"]:
            for scope in resource["scopeSpans"]:
                for span in scope["spans"]:
                    found.setdefault(span["traceId"], []).append(span)
    return found
