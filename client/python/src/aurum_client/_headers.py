"""Headers of requests and responses, and the request id among them."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from contextvars import ContextVar
from typing import Any
from uuid import uuid4

from aurum_client._text import shown

REQUEST_ID = "x-request-id"

# What both protocols can carry. gRPC rejects other characters, and HTTP servers interpret them
# differently.
_NAME = re.compile(r"[A-Za-z0-9_.-]+")
_VALUE = re.compile(r"[ -~]*")
_ID = re.compile(r"[!-~]([ -~]{0,126}[!-~])?")  # 128 characters: what the service logs of an id

_seen: ContextVar[dict[str, str]] = ContextVar("headers of the response")


def check_headers(headers: Mapping[str, str]) -> None:
    """Raise ValueError, naming the header, for one that cannot be sent or is the client's own."""
    # Error messages leave out the value: it may be a key.
    for name, value in headers.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"header {shown(name)}: a name has letters, digits, '-', '_', '.'")
        if not _VALUE.fullmatch(value):
            raise ValueError(
                f"header {shown(name)}: the value must be printable ASCII without line breaks"
            )
        if name.lower() == REQUEST_ID:
            raise ValueError(f"header {name!r}: pass each call its own request_id instead")


def valid_request_id(given: str | None) -> str:
    """Return ``given``, or a new id of 32 hexadecimal digits for None.

    Raises:
        TypeError, ValueError: ``given`` cannot be sent as a header.
    """
    if given is None:
        return uuid4().hex
    if not isinstance(given, str):
        raise TypeError(f"request_id must be text, not {type(given).__name__}")
    if not _ID.fullmatch(given):
        raise ValueError(
            f"request_id={shown(given)}: must be 1 to 128 printable ASCII characters "
            "without blanks around them"
        )
    return given


def noted_headers() -> dict[str, str]:
    """Return a dict that :func:`note` fills from now on in this task."""
    headers: dict[str, str] = {}
    _seen.set(headers)
    return headers


def note(headers: Iterable[tuple[str, Any]] | None) -> None:
    """Note a response's headers, which tritonclient drops, with lower-case names.

    Binary values of gRPC's metadata are left out.
    """
    for name, value in headers or ():
        if isinstance(value, str):
            _seen.get()[name.lower()] = value


def noting(request: Callable[..., Any]) -> Callable[..., Any]:
    """Return aiohttp's ``request`` with its response's headers noted."""

    async def send(*args: Any, **kwargs: Any) -> Any:
        response = await request(*args, **kwargs)
        note(response.headers.items())
        return response

    return send
