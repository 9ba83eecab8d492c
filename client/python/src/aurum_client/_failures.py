"""From a transport's status and message to the error tree."""

from __future__ import annotations

import re

from aurum_client.errors import (
    AccessDeniedError,
    AurumError,
    InvalidImageError,
    InvalidRequestError,
    LowQualityError,
    ModelNotFoundError,
    NoFaceError,
    ProtocolError,
    RequestTimeoutError,
    ServerError,
    UnavailableError,
)

# The server's own reasons, which are the same on both transports.
_BY_CODE: dict[str, type[AurumError]] = {
    "invalid_image": InvalidImageError,
    "no_face": NoFaceError,
    "low_quality": LowQualityError,
    "invalid_parameter": InvalidRequestError,
    "not_found": ModelNotFoundError,
    "overloaded": UnavailableError,
    "unavailable": UnavailableError,
}

_BY_STATUS: dict[str, type[AurumError]] = {
    "400": InvalidRequestError,
    "StatusCode.INVALID_ARGUMENT": InvalidRequestError,
    "413": InvalidRequestError,  # a gateway's limit on the size of the body
    "StatusCode.RESOURCE_EXHAUSTED": InvalidRequestError,  # the same
    "431": InvalidRequestError,  # on that of the headers
    "401": AccessDeniedError,
    "403": AccessDeniedError,
    "StatusCode.UNAUTHENTICATED": AccessDeniedError,
    "StatusCode.PERMISSION_DENIED": AccessDeniedError,
    "404": ModelNotFoundError,
    "StatusCode.NOT_FOUND": ModelNotFoundError,
    "StatusCode.UNIMPLEMENTED": ModelNotFoundError,  # what speaks gRPC there is no Triton
    "429": UnavailableError,
    "502": UnavailableError,  # a gateway that finds no server behind it
    "503": UnavailableError,
    "StatusCode.UNAVAILABLE": UnavailableError,
    "StatusCode.CANCELLED": UnavailableError,  # by a server that stops: ours would be no answer
    "408": RequestTimeoutError,
    "504": RequestTimeoutError,
    "StatusCode.DEADLINE_EXCEEDED": RequestTimeoutError,
}

# How Triton 2.51 words what will pass, as NOT_FOUND or INTERNAL: its models while it stops, and a
# model whose process has died. A model that it does not have "is not found".
_PASSING = re.compile(r"has no available versions|not (at )?ready|is not healthy|is stopping")
_NOT_TO_THE_POINT = {"404", "StatusCode.NOT_FOUND", "500", "StatusCode.INTERNAL"}

# Triton puts where it happened ("[request id: r-1] in ensemble 'analyze_faces', ") before the
# server's own message, which begins with a code where a program can act on the reason.
_MESSAGE = re.compile(
    r"(?:in ensemble '[^']*', |\[request id: [^\]]*\] )*(?:\[([a-z][a-z0-9_]*)\] )?(.*)",
    re.DOTALL,
)


def error_from_status(status: str | None, message: str | None) -> AurumError:
    """Return the error for what tritonclient reported.

    ``status`` is an HTTP status ("400"), a gRPC one ("StatusCode.UNAVAILABLE"), or None where
    tritonclient itself could not make sense of an answer. The server's code, where there is
    one, tells more than the status and goes first.
    """
    parts = _MESSAGE.fullmatch(message or "the server gave no reason")
    assert parts is not None  # every part may be empty
    code, text = parts.groups()
    if code in _BY_CODE:
        kind = _BY_CODE[code]
    elif status is None:
        kind = ProtocolError
    elif status in _NOT_TO_THE_POINT and _PASSING.search(text):
        kind = UnavailableError
    else:
        kind = _BY_STATUS.get(status, ServerError)
    return kind(text, code=code, status=status)
