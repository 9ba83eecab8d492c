"""The orientation that an EXIF block states (EXIF 2.32, TIFF 6.0), read in bounded steps.

Not by Pillow: it copies what each entry points to, which a few kilobytes can make gigabytes.
"""

from __future__ import annotations

from typing import Literal

# It fits into one segment of a JPEG, from which it mostly came.
MAX_BYTES = 65_535
PREFIX = b"Exif\0\0"  # before it in a JPEG; some writers leave it there elsewhere, too
_ORDERS: dict[bytes, Literal["little", "big"]] = {b"II*\0": "little", b"MM\0*": "big"}
_TAG = 0x0112
_ENTRY = 12  # bytes: tag, type, count, and the value where it has at most four
_SIZES = {1: 1, 3: 2, 4: 4}  # BYTE, SHORT, LONG


def orientation(block: bytes) -> int:
    """1..8; anything unreadable is upright, as browsers have it. MAX_BYTES are looked at."""
    block = block[: MAX_BYTES + len(PREFIX)].removeprefix(PREFIX)
    order = _ORDERS.get(block[:4])
    if order is None:
        return 1
    start = int.from_bytes(block[4:8], order)
    count = int.from_bytes(block[start : start + 2], order)
    for at in range(start + 2, min(start + 2 + count * _ENTRY, len(block)), _ENTRY):
        if int.from_bytes(block[at : at + 2], order) == _TAG:
            size = _SIZES.get(int.from_bytes(block[at + 2 : at + 4], order), 0)
            value = int.from_bytes(block[at + 8 : at + 8 + size], order)
            return value if 1 <= value <= 8 else 1
    return 1
