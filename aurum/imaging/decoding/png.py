"""A PNG's chunks (PNG 3rd edition): whether they fit into the file, and its EXIF block."""

from __future__ import annotations

import zlib

# Encoders write some hundred for the largest photo.
MAX_CHUNKS = 100_000
# EXIF fits into one segment of a JPEG, from which it mostly came; as hexadecimal digits it takes
# twice as much and some line breaks.
_MAX_EXIF = 65_535
_MAX_PROFILE = 3 * _MAX_EXIF
_PROFILE = b"Raw profile type exif"


def exif(data: bytes) -> bytes | None:
    """The EXIF block, before or behind the pixels; empty where there is none.

    None if a chunk does not end within the file (OpenCV reserves what a length says), or if there
    are more than MAX_CHUNKS.
    """
    found = b""
    at = 8
    for _ in range(MAX_CHUNKS):
        length = int.from_bytes(data[at : at + 4], "big")
        name = data[at + 4 : at + 8]
        if name == b"IEND":
            return found
        end = at + 12 + length
        if end > len(data):
            return None
        if not found and name in _READERS and length <= _MAX_PROFILE:
            crc = int.from_bytes(data[end - 4 : end], "big")
            if zlib.crc32(data[at + 4 : end - 4]) == crc:
                found = _READERS[name](data[at + 8 : end - 4])
        at = end
    return None


def _chunk(payload: bytes) -> bytes:
    return payload if len(payload) <= _MAX_EXIF else b""


def _text(payload: bytes) -> bytes:
    name, _, text = payload.partition(b"\0")
    return _profile(text) if name == _PROFILE else b""


def _packed_text(payload: bytes) -> bytes:
    name, _, packed = payload.partition(b"\0")
    if name != _PROFILE:
        return b""
    try:
        return _profile(zlib.decompressobj().decompress(packed[1:], _MAX_PROFILE))
    except zlib.error:
        return b""


def _profile(text: bytes) -> bytes:
    """What ImageMagick writes before eXIf was part of PNG: a name, a length, hexadecimal digits."""
    try:
        return bytes.fromhex(b"".join(text.split()[2:]).decode("ascii"))
    except ValueError:
        return b""


_READERS = {b"eXIf": _chunk, b"tEXt": _text, b"zTXt": _packed_text}
