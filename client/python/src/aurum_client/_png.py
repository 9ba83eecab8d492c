"""Lossless encoding of pixels as PNG, without an imaging library."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import numpy.typing as npt

_GRAY, _RGB = 0, 2  # PNG's colour types
_UP = 2  # the filter that stores each row as the difference from the row above


def rgb_png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Encode uint8 [H, W, 3], R, G, B; H and W above 0."""
    height, width, _ = pixels.shape
    rows = np.empty((height, 1 + width * 3), np.uint8)  # each begins with its filter
    rows[:, 0] = _UP
    flat = pixels.reshape(height, width * 3)
    rows[0, 1:] = flat[0]
    np.subtract(flat[1:], flat[:-1], out=rows[1:, 1:])  # modulo 256, as the filter wants it
    return _png(width, height, _RGB, rows.data)


def gray_png(side: int) -> bytes:
    """Return a uniformly gray 8-bit grayscale PNG of ``side`` x ``side`` pixels."""
    # Each row starts with its filter, 0 for none.
    return _png(side, side, _GRAY, (b"\x00" + b"\x80" * side) * side)


def _png(width: int, height: int, colours: int, rows: bytes | memoryview) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, 8, colours, 0, 0, 0)
    # Level 1: higher ones make a photo a few percent smaller, in several times the time.
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(rows, 1))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
