"""PNGs of 50 megapixels, of the most bytes that a pixel may have: RGBA, 16 bits each."""

from __future__ import annotations

import struct
import zlib
from functools import cache

from benchmarks.robustness.hostile.image_bytes import chunk

SIDE = 7070
_PIXEL = 8
_PAETH = b"\4"  # the filter that takes longest, more so where its choice can't be foreseen


@cache
def flat_png() -> bytes:
    """Small."""
    return _png(bytes(1 + SIDE * _PIXEL))


@cache
def slow_png() -> bytes:
    """Small, too, and takes as long as any."""
    noise = bytes(x * x * 151 + x * 37 >> 3 & 255 for x in range(1000))
    return _png(_PAETH + (noise * (SIDE * _PIXEL // len(noise) + 1))[: SIDE * _PIXEL])


def _png(row: bytes) -> bytes:
    pack = zlib.compressobj(9 if not any(row) else 1)
    packed = b"".join(pack.compress(row) for _ in range(SIDE)) + pack.flush()
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 16, 6, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    )
