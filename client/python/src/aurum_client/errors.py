"""The exceptions that the client raises, as one tree.

::

    AurumError
    ├── ClientClosedError        the client was closed before or during the call
    ├── EventLoopError           an AsyncFaceClient was used in a second event loop
    ├── ForkedProcessError       gRPC was used in a forked child of a process that used gRPC
    ├── ConnectionFailedError    no connection, or it was lost (retried)
    ├── RequestTimeoutError      no response within the call's timeout
    ├── UnavailableError         the server is not ready or too busy (503, UNAVAILABLE; retried)
    │   └── RateLimitError       too many requests with this key (429, "rate_limited"; retried)
    ├── AccessDeniedError        the server rejected the credentials (401, 403)
    ├── ModelNotFoundError       the server has no such model; it may not be an Aurum server
    ├── InvalidRequestError      the server rejected the request: an option is out of range
    │   ├── InvalidImageError    the image cannot be read or decoded
    │   ├── NoFaceError          no face in an image that needs one
    │   └── LowQualityError      the face's quality is below the requested minimum
    ├── ModelMismatchError       two embeddings come from different models
    ├── ServerError              the server failed (500, INTERNAL)
    └── ProtocolError            the response violates the contract

The client retries the three marked errors, up to its ``retries`` setting, and waits at least as
long as the response's ``Retry-After`` asks for. It raises an error at once if that would exceed the
call's timeout, and all others: a rejected request would be rejected again, and after a timeout no
time is left.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import ClassVar


class AurumError(Exception):
    """The base class; ``str(error)`` is the message without Triton's prefixes.

    ``code``: the server's machine-readable reason ("invalid_image", "no_face", "low_quality",
    "invalid_parameter", "not_found", "unavailable", "rate_limited"), or None if it gave none.
    ``status``: the HTTP or gRPC status ("400", "StatusCode.UNAVAILABLE"), or None if there was no
    response. ``request_id``: the id under which the server's logs have the request; None for an
    error without a request. ``headers``: the response's headers, or gRPC's metadata, by lower-case
    name; empty without a response. ``retryable``: whether the client retries this class of error.
    """

    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, code: str | None = None, status: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status = status
        self.request_id: str | None = None
        self.headers: Mapping[str, str] = {}

    @property
    def retry_after(self) -> float | None:
        """Seconds to wait before another attempt, from the header Retry-After; None without it."""
        given = self.headers.get("retry-after", "")
        if re.fullmatch(r"\d{1,9}", given):
            return float(given)
        try:  # RFC 9110 also allows a date
            return max(0.0, parsedate_to_datetime(given).timestamp() - time.time())
        except (ValueError, OverflowError):
            return None


class ClientClosedError(AurumError):
    """The client was used after ``close()``, or was closed during the call."""


class EventLoopError(AurumError):
    """An :class:`~aurum_client.AsyncFaceClient` was used in another event loop than at first."""


class ForkedProcessError(AurumError):
    """gRPC cannot run here: this process was forked from one that had used gRPC."""


class ConnectionFailedError(AurumError):
    """No connection could be made, or it was lost before the response was complete."""

    retryable = True


class RequestTimeoutError(AurumError):
    """No response arrived within the call's timeout, which includes retries."""


class UnavailableError(AurumError):
    """The server responds but cannot process requests: it is starting, stopping or overloaded."""

    retryable = True


class RateLimitError(UnavailableError):
    """The key has sent too many requests; ``retry_after`` says how long to wait."""


class AccessDeniedError(AurumError):
    """The server, or a gateway in front of it, rejected the client's credentials."""


class ModelNotFoundError(AurumError):
    """The server does not serve this model."""


class InvalidRequestError(AurumError):
    """The server rejected the request; the message names the option and its allowed range."""


class InvalidImageError(InvalidRequestError):
    """The client cannot read the image, or the server cannot decode it."""


class NoFaceError(InvalidRequestError):
    """No face was found in an image that needs one (``embed`` and ``compare``)."""


class LowQualityError(InvalidRequestError):
    """The face's quality is below ``min_quality``; the message names the main cause."""


class ModelMismatchError(AurumError):
    """The embeddings come from different embedders, so their similarity is meaningless."""


class ServerError(AurumError):
    """The server failed while processing the request."""


class ProtocolError(AurumError):
    """The response violates the contract: a tensor is missing or has another dtype or shape."""
