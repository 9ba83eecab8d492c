"""Forward requests to Triton: complete bodies within the limit, and its protocol's headers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import suppress

import httpx
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from aurum.playground import timings
from aurum.settings import Settings

TIMEOUT = httpx.Timeout(120, connect=3)  # seconds; a crowd takes long on a busy machine
# Up to this much of a refused body is read and discarded, so that the refusal reaches a client that
# sends before it reads: closing a socket with unread bytes resets it (see nginx's lingering_close).
LINGER_BYTES = 64 << 20
LINGER_SECONDS = 2.0

# In Triton's binary tensor extension, this header gives the length of the JSON.
_LENGTH = "inference-header-content-length"
_PASSED_ON = ("content-type", _LENGTH)


def connect(settings: Settings) -> httpx.AsyncClient:
    """Create a client of Triton's HTTP endpoint that ignores proxies in the environment."""
    return httpx.AsyncClient(base_url=settings.http_url, timeout=TIMEOUT, trust_env=False)


async def infer(
    client: httpx.AsyncClient, request: Request, pipeline: str, settings: Settings
) -> Response:
    """Forward a request for `pipeline`; with the header `x-timings: 1` add Server-Timing."""
    start = time.perf_counter()
    body = await receive(
        request,
        settings.max_body_bytes,
        f"[too_large] photos may have at most {settings.max_image_bytes} bytes "
        "(AURUM_MAX_IMAGE_BYTES); requests of more than "
        f"{settings.max_body_bytes} bytes are not passed on",
    )
    if isinstance(body, Response):
        return body
    received = time.perf_counter() - start
    headers = {name: request.headers[name] for name in _PASSED_ON if name in request.headers}
    path = f"/v2/models/{pipeline}/infer"
    if request.headers.get("x-timings") != "1":
        return await _ask(client, "POST", path, headers, body)
    before = await timings.read(client)
    start = time.perf_counter()
    answer = await _ask(client, "POST", path, headers, body)
    spent = time.perf_counter() - start
    after = await timings.read_after(client, before, pipeline)
    answer.headers["server-timing"] = timings.header(received, spent, pipeline, before, after)
    return answer


async def health(client: httpx.AsyncClient, path: str) -> Response:
    """Forward a health check."""
    return await _ask(client, "GET", path, {}, b"")


async def receive(request: Request, limit: int, too_large: str) -> bytes | Response:
    """Read the whole body, or return the refusal; `too_large` is its message above `limit`."""
    if request.headers.get("content-encoding", "identity") != "identity":
        # Decompressed, it could have any size.
        return Refusal(
            415, "a compressed request is not passed on: send it without Content-Encoding"
        )
    try:
        async with asyncio.timeout(TIMEOUT.read):
            body = await _read(request, limit)
    except ClientDisconnect:
        return Response(status_code=400)  # the client is gone and won't see it
    except TimeoutError:
        return Refusal(408, f"the request did not arrive within {TIMEOUT.read:g} s")
    return Refusal(413, too_large) if body is None else body


async def _read(request: Request, limit: int) -> bytes | None:
    """Read the whole body; return None as soon as it proves larger than `limit`."""
    if int(request.headers.get("content-length", 0)) > limit:
        return None
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            return None
    return bytes(body)


async def _ask(
    client: httpx.AsyncClient, method: str, path: str, headers: Mapping[str, str], body: bytes
) -> Response:
    try:
        answer = await client.request(
            method, path, headers={"accept-encoding": "identity", **headers}, content=body
        )
    except httpx.TimeoutException:
        return unavailable(504, f"gave no answer in {TIMEOUT.read:g} s")
    except httpx.HTTPError as error:
        return unavailable(503, f"can't be reached ({error or type(error).__name__})")
    kept = {name: answer.headers[name] for name in _PASSED_ON if name in answer.headers}
    # For the code to copy: programs call the service itself, not the playground.
    kept["aurum-service"] = str(client.base_url).rstrip("/")
    return Response(answer.content, answer.status_code, kept)


def unavailable(status: int, what: str) -> Response:
    """Return an error that a client may retry."""
    return JSONResponse({"error": f"[unavailable] the face service {what}"}, status)


class Refusal(JSONResponse):
    """An error in Triton's format that is sent before the rest of the request arrives."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__({"error": message}, status, headers={"connection": "close"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, keep reading for a while, then close."""
        await send(
            {
                "type": "http.response.start",
                "status": self.status_code,
                "headers": self.raw_headers,
            }
        )
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                left = LINGER_BYTES
                while left > 0:
                    message = await receive()
                    if not message.get("more_body"):
                        break
                    left -= len(message["body"])
        await send({"type": "http.response.body", "body": b""})
