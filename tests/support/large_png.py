"""PNGs of 50 megapixels with the most bytes per pixel: RGBA of 16 bits each."""

from __future__ import annotations

import struct
import zlib
from functools import cache

from benchmarks.robustness.hostile.image_bytes import chunk

SIDE = 7070
_PIXEL = 8
_PAETH = b"\4"  # the slowest filter, more so with pixels that a branch predictor can't foresee


@cache
def flat_png() -> bytes:
    """A PNG of few bytes."""
    return _png(bytes(1 + SIDE * _PIXEL))


@cache
def slow_png() -> bytes:
    """A PNG of few bytes that takes as long to decode as any."""
    noise = bytes(x * x * 151 + x * 37 >> 3 & 255 for x in range(1000))
    return _png(_PAETH + (noise * (SIDE * _PIXEL // len(noise) + 1))[: SIDE * _PIXEL])


def _png(row: bytes) -> bytes:
    pack = zlib.compressobj(9 if not any(row) else 1)
    packed = b"".join(pack.compress(row) for _ in range(SIDE)) + pack.flush()
    header = struct.pack(">IIBBBBB", SIDE, SIDE, 16, 6, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")
    )
