"""Everything that can go wrong, as one tree.

::

    AurumError
    ├── ClientClosedError        the client was used after (or closed during) the call
    ├── ConnectionFailedError    no connection, or it broke (retried)
    ├── RequestTimeoutError      no answer within the call's timeout
    ├── UnavailableError         the server is not ready or too busy (503, UNAVAILABLE; retried)
    ├── AccessDeniedError        the server wants other credentials (401, 403)
    ├── ModelNotFoundError       the server has no such model: is it an Aurum server?
    ├── InvalidRequestError      the server refused the request: an option is out of its range
    │   ├── InvalidImageError    the image cannot be read or decoded
    │   ├── NoFaceError          there is no face in a photo that needs one
    │   └── LowQualityError      its face is of a lower quality than was asked for
    ├── ModelMismatchError       two embeddings are of different models, so they don't compare
    ├── ServerError              the server failed (500, INTERNAL)
    └── ProtocolError            the answer isn't what the contract promises

The client retries the two so marked, as often as it was told to; the others it raises at once:
what was refused would be refused again, and after a timeout there is no time left.
"""

from __future__ import annotations

from typing import ClassVar


class AurumError(Exception):
    """The root of the tree; ``str(error)`` is the message without Triton's prefixes.

    ``code`` is the server's machine-readable reason ("invalid_image", "no_face", "low_quality",
    "invalid_parameter", "unavailable"), or None where it gave none. ``status`` is the transport's
    ("400", "StatusCode.UNAVAILABLE"), or None where no answer came.
    """

    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, code: str | None = None, status: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.status = status


class ClientClosedError(AurumError):
    """The client was used after ``close()``, or closed while the call was under way."""


class ConnectionFailedError(AurumError):
    """No connection could be made, or it broke before the answer was complete."""

    retryable = True


class RequestTimeoutError(AurumError):
    """No answer came within the call's timeout, its retries included."""


class UnavailableError(AurumError):
    """The server answers, but cannot work now: it is starting, stopping or overloaded."""

    retryable = True


class AccessDeniedError(AurumError):
    """The server, or a gateway before it, refused the client's credentials."""


class ModelNotFoundError(AurumError):
    """The server does not serve this model."""


class InvalidRequestError(AurumError):
    """The server refused the request; its message names the option and the allowed range."""


class InvalidImageError(InvalidRequestError):
    """The image cannot be read here, or the server cannot decode it."""


class NoFaceError(InvalidRequestError):
    """There is no face in a photo that needs one (``embed`` and ``compare``)."""


class LowQualityError(InvalidRequestError):
    """The face is below ``min_quality``; the message says what lowers its quality most."""


class ModelMismatchError(AurumError):
    """The embeddings come from different embedders: their similarity means nothing."""


class ServerError(AurumError):
    """The server failed while it worked on the request."""


class ProtocolError(AurumError):
    """The answer breaks the contract: a tensor is missing, or of another type or shape."""
