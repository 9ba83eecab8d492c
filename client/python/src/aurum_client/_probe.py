"""A tiny valid image that shows whether the server can infer, made without an imaging library."""

from __future__ import annotations

import struct
import zlib

SIDE = 112
"""Pixels; that of an aligned crop, so that the embedder can be asked with it as well."""


def gray_png(side: int = SIDE) -> bytes:
    """Return a square, evenly gray, 8-bit grayscale PNG: an image with no face in it."""
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    # Each row is preceded by its filter, 0 for none.
    pixels = (b"\x00" + b"\x80" * side) * side
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(pixels))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
