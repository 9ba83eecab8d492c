"""The orientation in an EXIF block (EXIF 2.32, TIFF 6.0), read in bounded time and memory.

Pillow isn't used, because it copies the data that each entry points to: a few kilobytes of EXIF can
make that gigabytes.
"""

from __future__ import annotations

from typing import Literal

# The size of a JPEG segment, as EXIF was made for JPEG.
MAX_BYTES = 65_535
PREFIX = b"Exif\0\0"  # precedes EXIF in a JPEG; some writers add it in other formats, too
_ORDERS: dict[bytes, Literal["little", "big"]] = {b"II*\0": "little", b"MM\0*": "big"}
_TAG = 0x0112
_ENTRY = 12  # bytes: tag, type, count, and the value if it has at most four
_SIZES = {1: 1, 3: 2, 4: 4}  # BYTE, SHORT, LONG


def orientation(block: bytes) -> int:
    """Read the orientation, 1..8, from the first MAX_BYTES of an EXIF block.

    Returns 1 (upright) if it is missing or invalid, as browsers do.
    """
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
