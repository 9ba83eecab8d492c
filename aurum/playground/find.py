"""The search among members, which the tab Find asks for (docs/guides/members.md)."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import suppress
from typing import IO

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Mount, Route

from aurum.playground import forward
from aurum.playground.searcher import ANSWER, REQUEST

OFFERED = "GET /faces/table and POST /faces/search"
LIMIT = 65_536  # bytes of a search; its 512 numbers have some 11,000
FEATURES = "export const FIND = true;\n"  # instead of static/features.js


class Search:
    """A process that searches the table in a folder, or at an address of LanceDB."""

    def __init__(self, where: str) -> None:
        self._command = [sys.executable, "-P", "-m", "aurum.playground.searcher", where]
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = asyncio.Lock()

    async def ask(self, search: bytes | None = None) -> Response:
        """Have a search answered, given as JSON, or by default what the table holds."""
        request = REQUEST.pack(search is not None, len(search or b"")) + (search or b"")
        async with self._lock:
            try:
                process = self._running()
                async with asyncio.timeout(forward.TIMEOUT.read):
                    status, answer = await asyncio.to_thread(_exchange, process, request)
            except BaseException as error:
                self.stop()  # or its late answer would be that of the next request
                if isinstance(error, TimeoutError):
                    return forward.unavailable(504, "took too long to search the members")
                if isinstance(error, OSError):
                    return forward.unavailable(503, f"can't search the members ({error})")
                raise
        return Response(answer, status, media_type="application/json")

    def stop(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            with suppress(BrokenPipeError), self._process as process:
                process.kill()
            self._process = None

    def _running(self) -> subprocess.Popen[bytes]:
        """Return the process; start it if there is none, or if it died."""
        if self._process is not None and self._process.poll() is not None:
            self.stop()
        if self._process is None:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,  # so that Ctrl-C reaches `aurum up` only
            )
        return self._process

    def routes(self) -> list[BaseRoute]:
        """Return the routes of the search, and of the page's file that offers the tab."""

        async def features(request: Request) -> Response:
            return Response(FEATURES, media_type="text/javascript")

        async def table(request: Request) -> Response:
            return await self.ask()

        async def search(request: Request) -> Response:
            too_large = f"[too_large] a search may have at most {LIMIT} bytes"
            body = await forward.receive(request, LIMIT, too_large)
            return body if isinstance(body, Response) else await self.ask(body)

        return [
            Route("/features.js", features, methods=["GET"]),
            Mount(
                "/faces",
                routes=[
                    Route("/table", table, methods=["GET"]),
                    Route("/search", search, methods=["POST"]),
                ],
            ),
        ]


def _exchange(process: subprocess.Popen[bytes], request: bytes) -> tuple[int, bytes]:
    """Send a request, and read the answer: its HTTP status and its JSON."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(request)
    process.stdin.flush()
    status, size = ANSWER.unpack(_read(process.stdout, ANSWER.size))
    return status, _read(process.stdout, size)


def _read(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) < size:
        raise ConnectionError("the process that searches ended")
    return data
