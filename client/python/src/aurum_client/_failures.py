"""Map a transport's status and message to an error class."""

from __future__ import annotations

import re

from aurum_client import _contract as contract
from aurum_client.errors import (
    AccessDeniedError,
    AurumError,
    InvalidImageError,
    InvalidRequestError,
    LowQualityError,
    ModelNotFoundError,
    NoFaceError,
    ProtocolError,
    RateLimitError,
    RequestTimeoutError,
    ServerError,
    UnavailableError,
)

# The service's own error codes, the same over both protocols.
_BY_CODE: dict[str, type[AurumError]] = {
    contract.INVALID_IMAGE: InvalidImageError,
    contract.NO_FACE: NoFaceError,
    contract.LOW_QUALITY: LowQualityError,
    contract.INVALID_PARAMETER: InvalidRequestError,
    contract.NOT_FOUND: ModelNotFoundError,
    contract.UNAVAILABLE: UnavailableError,
    contract.RATE_LIMITED: RateLimitError,  # over gRPC its status is UNAVAILABLE
}

_BY_STATUS: dict[str, type[AurumError]] = {
    "400": InvalidRequestError,
    "StatusCode.INVALID_ARGUMENT": InvalidRequestError,
    "413": InvalidRequestError,  # a gateway's limit on the body size
    "StatusCode.RESOURCE_EXHAUSTED": InvalidRequestError,  # the same over gRPC
    "431": InvalidRequestError,  # a gateway's limit on the header size
    "401": AccessDeniedError,
    "403": AccessDeniedError,
    "StatusCode.UNAUTHENTICATED": AccessDeniedError,
    "StatusCode.PERMISSION_DENIED": AccessDeniedError,
    "404": ModelNotFoundError,
    "StatusCode.NOT_FOUND": ModelNotFoundError,
    "StatusCode.UNIMPLEMENTED": ModelNotFoundError,  # a gRPC server that is not Triton
    "429": RateLimitError,
    "502": UnavailableError,  # a gateway without a server behind it
    "503": UnavailableError,
    "StatusCode.UNAVAILABLE": UnavailableError,
    # Canceled by a server that is stopping. A call that we cancel has no response.
    "StatusCode.CANCELLED": UnavailableError,
    "408": RequestTimeoutError,
    "504": RequestTimeoutError,
    "StatusCode.DEADLINE_EXCEEDED": RequestTimeoutError,
}

# How Triton 2.51 words transient failures that it reports as NOT_FOUND or INTERNAL: models while
# it is stopping, and a model whose process has died. A model that it lacks "is not found".
_TRANSIENT = re.compile(r"has no available versions|not (at )?ready|is not healthy|is stopping")
_AMBIGUOUS = {"404", "StatusCode.NOT_FOUND", "500", "StatusCode.INTERNAL"}

# Triton prefixes the service's message with its location ("[request id: r-1] in ensemble
# 'analyze_faces', "). The message itself starts with a code if a program can act on the reason.
_MESSAGE = re.compile(
    r"(?:in ensemble '[^']*', |\[request id: [^\]]*\] )*(?:\[([a-z][a-z0-9_]*)\] )?(.*)",
    re.DOTALL,
)


def error_from_status(status: str | None, message: str | None) -> AurumError:
    """Return the error for a failure that tritonclient reports.

    ``status`` is an HTTP status ("400"), a gRPC status ("StatusCode.UNAVAILABLE"), or None if
    tritonclient could not parse the response. The service's code, if there is one, is more
    specific than the status and takes precedence.
    """
    parts = _MESSAGE.fullmatch(message or "the server gave no reason")
    assert parts is not None  # every part may be empty
    code, text = parts.groups()
    if code in _BY_CODE:
        kind = _BY_CODE[code]
    elif status is None:
        kind = ProtocolError
    elif status in _AMBIGUOUS and _TRANSIENT.search(text):
        kind = UnavailableError
    else:
        kind = _BY_STATUS.get(status, ServerError)
    return kind(text, code=code, status=status)
