"""The error for refused photos, and its reasons."""

from __future__ import annotations

ACCEPTED = "accepted are JPEG, PNG, WebP, HEIC and AVIF photos, as they are or as base64"


class InvalidImageError(ValueError):
    """A photo is refused; the message says what is wrong and what is accepted.

    ``reason`` is one of contract.INVALID_IMAGE_REASONS.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def damaged(kind: str) -> InvalidImageError:
    """Make the error for a damaged file of this format."""
    return InvalidImageError(
        "damaged", f"the {kind} image is corrupt or truncated and can't be decoded"
    )
