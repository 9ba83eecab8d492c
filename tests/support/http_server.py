"""A local HTTP server that serves one model file, well or badly, and helpers for the cache."""

import hashlib
import random
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from in_thread import in_thread

from aurum.models.manifest import Model

CONTENT = random.Random(1).randbytes(300_000)
HALF = len(CONTENT) // 2
NAME = "face.onnx"


class Handler(BaseHTTPRequestHandler):
    """Behaves as the first part of the path says: `/<behaviour>/<file>`."""

    content = CONTENT

    @property
    def half(self):
        return self.content[: len(self.content) // 2]

    def do_GET(self):
        self.server.asked.append((self.path, self.headers.get("Range")))
        getattr(self, self.path.split("/")[1])()

    def answer(self, status, body=b"", length=None, **headers):
        self.send_response(status)
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.send(body)

    def send(self, body):
        try:
            self.wfile.write(body)
            self.server.sent += len(body)
        except OSError:
            return False  # the client has closed the connection
        return True

    def offset(self):
        text = self.headers.get("Range")
        return int(text.removeprefix("bytes=").removesuffix("-")) if text else 0

    def plain(self):
        self.answer(200, self.content, len(self.content))

    def ranges(self, body=None):
        body = self.content if body is None else body
        start = self.offset()
        if not start:
            return self.answer(200, body, len(self.content))
        extent = f"bytes {start}-{len(self.content) - 1}/{len(self.content)}"
        self.answer(206, self.content[start:], len(self.content) - start, Content_Range=extent)

    def cut(self):
        self.ranges(self.half)  # truncated, unless a range is requested

    def unsatisfiable(self):
        self.answer(416) if self.offset() else self.plain()

    def strange(self):
        if not self.offset():
            return self.plain()
        self.answer(
            206, self.content, len(self.content), Content_Range=f"bytes 0-9/{len(self.content)}"
        )

    def wrong(self):
        self.answer(200, bytes(len(self.content)), len(self.content))

    def gone(self):
        self.answer(404)

    def large(self):
        self.answer(200, b"", len(self.content) + 1)

    def endless(self):
        self.answer(200)
        while self.send(bytes(65536)):
            pass

    def stalled(self):
        self.answer(200, self.half, len(self.content))
        self.server.over.wait()

    def moved(self):
        self.answer(302, Location=self.path.replace("/moved/", "/plain/"))

    def hole(self):
        self.answer(302, Location=f"{self.server.hole}/hole/{NAME}")

    def slow(self):
        self.answer(200, self.half, len(self.content))
        self.server.over.wait(0.5)  # time for the other process to arrive
        self.send(self.content[len(self.half) :])

    def log_message(self, *_):
        pass


@contextmanager
def serving():
    """Run a server with its address in `base` and the requested paths and ranges in `asked`."""
    with in_thread(ThreadingHTTPServer(("127.0.0.1", 0), Handler), poll=0.01) as server:
        server.asked, server.sent, server.over = [], 0, threading.Event()
        server.base = f"http://127.0.0.1:{server.server_port}"
        try:
            yield server
        finally:
            server.over.set()


def model_of(*urls, **changes):
    values = {
        "name": "face",
        "role": "embedder",
        "family": "arcface",
        "description": "made up",
        "licence": "none",
        "commercial_use": "yes",
        "tested": True,
        "file": NAME,
        "sha256": hashlib.sha256(CONTENT).hexdigest(),
        "bytes": len(CONTENT),
        "urls": urls,
    }
    return Model(**(values | changes))


def at(site, *behaviours, **changes):
    return model_of(*(f"{site.base}/{behaviour}/{NAME}" for behaviour in behaviours), **changes)


def files(settings):
    """List the names in the cache, except lock files."""
    return sorted(p.name for p in settings.model_cache.iterdir() if p.suffix != ".lock")


def has_file(settings):
    return files(settings) == [NAME] and (settings.model_cache / NAME).read_bytes() == CONTENT
