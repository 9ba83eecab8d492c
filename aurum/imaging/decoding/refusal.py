"""Why a photo is refused."""

from __future__ import annotations

ACCEPTED = "accepted are JPEG, PNG, WebP, HEIC and AVIF photos, as they are or as base64"


class InvalidImageError(ValueError):
    """The bytes are no accepted photo; the message says what is wrong and what is allowed.

    ``reason`` is one of contract.INVALID_IMAGE_REASONS.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def damaged(kind: str) -> InvalidImageError:
    """For a file of that format with damage that has no better name."""
    return InvalidImageError(
        "damaged", f"the {kind} image is corrupt or truncated and can't be decoded"
    )
