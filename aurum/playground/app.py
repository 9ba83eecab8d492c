"""The playground's routes, access rules and response headers."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aurum.contract import PIPELINES
from aurum.paths import PHOTO
from aurum.pipeline.request import shortened
from aurum.playground import find, forward
from aurum.settings import Settings

STATIC = Path(__file__).with_name("static")
HEALTH = ("/health/live", "/health/ready", *(f"/models/{p}/ready" for p in PIPELINES))

# The page may load its own files, show photos from the browser's memory, and send us requests.
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' blob:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(self), microphone=(), geolocation=()",
}
_LOOPBACK = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?", re.IGNORECASE)


def create_app(settings: Settings) -> Starlette:
    """Create the app: the page, a pass-through to the server in `settings`, and the search."""

    search = find.Search(settings.faces_db) if settings.faces_db else None

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with forward.connect(settings) as client:
            app.state.client = client
            yield
        if search:
            search.stop()

    def infer(pipeline: str) -> Route:
        async def endpoint(request: Request) -> Response:
            return await forward.infer(request.app.state.client, request, pipeline, settings)

        return Route(f"/models/{pipeline}/infer", endpoint, methods=["POST"])

    def health(path: str) -> Route:
        async def endpoint(request: Request) -> Response:
            return await forward.health(request.app.state.client, f"/v2{path}")

        return Route(path, endpoint, methods=["GET"])

    offered = f"passes on POST /v2/models/<{'|'.join(PIPELINES)}>/infer and GET routes of health"
    if search:
        offered += f", and answers {find.OFFERED}"
    return Starlette(
        routes=[
            Mount("/v2", routes=[*map(infer, PIPELINES), *map(health, HEALTH)]),
            *(search.routes() if search else ()),
            Mount("/examples", StaticFiles(directory=PHOTO.parent)),
            Mount("/", StaticFiles(directory=STATIC, html=True)),
        ],
        exception_handlers={HTTPException: partial(_refused, offered)},
        lifespan=lifespan,
    )


async def _refused(offered: str, request: Request, error: Exception) -> Response:
    """Answer requests to unknown routes with an error in Triton's JSON format."""
    assert isinstance(error, HTTPException)
    path = shortened(request.scope["path"])
    if error.status_code == 405:
        said = f"{shortened(request.method)} is not allowed on {path}"
    else:
        said = f"there is no {path} here"
    return JSONResponse(
        {"error": f"{said}; the playground {offered}"}, error.status_code, headers=error.headers
    )


class Guarded:
    """ASGI middleware that accepts requests only from our own page, and sets our headers.

    A page of another site may be open in the same browser. It can't read our answers, since we send
    no CORS headers; the Host check refuses names that resolve to this machine (DNS rebinding), the
    Origin check refuses its blind requests.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse with 403, or pass on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        started = False

        async def send_with_headers(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                # Answers about photos must not be stored; the page's files may change.
                headers.setdefault("cache-control", "no-cache" if _is_file(scope) else "no-store")
            await send(message)

        reason = _stranger(Headers(scope=scope))
        app = forward.Refusal(403, reason) if reason else self._app
        try:
            await app(scope, receive, send_with_headers)
        except asyncio.CancelledError:  # the shutdown's grace period is over
            if not started:
                await forward.unavailable(503, "is stopping")(scope, receive, send_with_headers)


def _is_file(scope: Scope) -> bool:
    return not str(scope["path"]).startswith(("/v2/", "/faces/"))


def _stranger(headers: Headers) -> str | None:
    """Return why a request isn't from our page or a program on this machine; None if it is."""
    host, origin = headers.get("host", ""), headers.get("origin")
    shown = shortened(host)
    if not _LOOPBACK.fullmatch(host):
        return f"the host {shown!r} is refused: only localhost, 127.0.0.1 and [::1] are served"
    if origin is not None and origin.lower() != f"http://{host}".lower():
        said = f"the origin {shortened(origin)!r} is refused"
        return f"{said}: only the page of http://{shown} is served"
    return None
