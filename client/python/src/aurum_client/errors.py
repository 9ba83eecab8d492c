"""The exceptions that the client raises, as one tree.

::

    AurumError
    ├── ClientClosedError        the client was closed before or during the call
    ├── ConnectionFailedError    no connection, or it was lost (retried)
    ├── RequestTimeoutError      no response within the call's timeout
    ├── UnavailableError         the server is not ready or too busy (503, UNAVAILABLE; retried)
    ├── AccessDeniedError        the server rejected the credentials (401, 403)
    ├── ModelNotFoundError       the server has no such model; it may not be an Aurum server
    ├── InvalidRequestError      the server rejected the request: an option is out of range
    │   ├── InvalidImageError    the image cannot be read or decoded
    │   ├── NoFaceError          no face in an image that needs one
    │   └── LowQualityError      the face's quality is below the requested minimum
    ├── ModelMismatchError       two embeddings come from different models
    ├── ServerError              the server failed (500, INTERNAL)
    └── ProtocolError            the response violates the contract

The client retries the two marked errors, up to its ``retries`` setting. It raises the others
immediately: a rejected request would be rejected again, and after a timeout no time is left.
"""

from __future__ import annotations

from typing import ClassVar


class AurumError(Exception):
    """The base class; ``str(error)`` is the message without Triton's prefixes.

    ``code``: the server's machine-readable reason ("invalid_image", "no_face", "low_quality",
    "invalid_parameter", "not_found", "unavailable"), or None if it gave none. ``status``: the HTTP
    or gRPC status ("400", "StatusCode.UNAVAILABLE"), or None if there was no response.
    ``retryable``: whether the client retries this class of error.
    """

    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, code: str | None = None, status: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class ClientClosedError(AurumError):
    """The client was used after ``close()``, or was closed during the call."""


class ConnectionFailedError(AurumError):
    """No connection could be made, or it was lost before the response was complete."""

    retryable = True


class RequestTimeoutError(AurumError):
    """No response arrived within the call's timeout, which includes retries."""


class UnavailableError(AurumError):
    """The server responds but cannot process requests: it is starting, stopping or overloaded."""

    retryable = True


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
