"""Photos sent as text: base64 in all its variants, and data URLs."""

from __future__ import annotations

import base64
import binascii

from aurum.imaging.decoding import formats
from aurum.imaging.decoding.limits import Limits
from aurum.imaging.decoding.refusal import ACCEPTED, InvalidImageError

_BLANKS = b" \t\r\n\v\f"
_DIGITS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_URL_SAFE = bytes.maketrans(b"-_", b"+/")
_MEDIA_TYPE = 2048  # maximum bytes of a data URL before its comma
_BEGINNING = 64  # base64 characters that suffice to detect any format by its magic bytes


def unwrap(data: bytes, limits: Limits) -> bytes:
    """Decode base64 text or a data URL; return any other data unchanged.

    Data counts as base64 if it has no format's magic bytes, but its decoded bytes do. Line breaks
    and blanks may be anywhere, padding is optional, and the alphabet is the usual one or that for
    URLs (RFC 4648). A data URL (RFC 2397) may have any media type.

    Raises:
        InvalidImageError: a data URL isn't base64, the base64 is damaged, or the file is larger
            than is allowed as base64.
    """
    if _known(data):
        return data
    text = data.lstrip(_BLANKS) if data[:1] in _BLANKS else data
    if text[:5].lower() == b"data:":
        return _decoded(_payload(text), limits)
    digits = text[: 2 * _BEGINNING].translate(_URL_SAFE, _BLANKS)[:_BEGINNING]
    digits = digits[: len(digits) - len(digits.lstrip(_DIGITS))]
    return _decoded(text, limits) if _known(_file(digits[: len(digits) // 4 * 4])) else data


def _known(data: bytes) -> bool:
    return bool(formats.accepted(data) or formats.refused(data))


def _payload(url: bytes) -> bytes:
    """The part of a base64 data URL after its comma."""
    head, comma, _ = url[:_MEDIA_TYPE].partition(b",")
    if not comma or head.rstrip(_BLANKS).rpartition(b";")[2].strip(_BLANKS).lower() != b"base64":
        raise InvalidImageError("bad_base64", f"the data URL is not base64; {ACCEPTED}")
    return url[len(head) + 1 :]


def _decoded(text: bytes, limits: Limits) -> bytes:
    digits = text.translate(_URL_SAFE, _BLANKS).rstrip(b"=")
    size = len(digits) * 3 // 4
    if size > min(limits.base64_bytes, limits.bytes):
        raise InvalidImageError("too_many_bytes", _too_many(size, limits))
    try:
        return _file(digits)
    except binascii.Error as error:
        raise InvalidImageError(
            "bad_base64", f"the image is damaged base64 ({error}); {ACCEPTED}"
        ) from None


def _file(digits: bytes) -> bytes:
    return base64.b64decode(digits + b"=" * (-len(digits) % 4), validate=True)


def _too_many(size: int, limits: Limits) -> str:
    if limits.bytes <= limits.base64_bytes:
        return (
            f"the image has {size} bytes; at most {limits.bytes} are allowed "
            "(AURUM_MAX_IMAGE_BYTES)"
        )
    return (
        f"the image has {size} bytes; at most {limits.base64_bytes} are allowed as base64 "
        f"(AURUM_MAX_BASE64_BYTES): send larger ones in binary, with at most {limits.bytes}"
    )
