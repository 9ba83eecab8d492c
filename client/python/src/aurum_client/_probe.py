"""A tiny valid image that tests whether a server can infer. Needs no imaging library."""

from __future__ import annotations

import struct
import zlib

from aurum_client._contract import ALIGNED_SIDE


def gray_png(side: int = ALIGNED_SIDE) -> bytes:
    """Return a uniformly gray 8-bit grayscale PNG of ``side`` x ``side`` pixels, without a face.

    The default size is that of an aligned crop, so the embedder accepts it too.
    """
    header = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    # Each row starts with its filter type, 0 for none.
    pixels = (b"\x00" + b"\x80" * side) * side
    return (
        b"\x89PNG\r\n\x1a\n"
        + _chunk(b"IHDR", header)
        + _chunk(b"IDAT", zlib.compress(pixels))
        + _chunk(b"IEND", b"")
    )


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
