"""Hostile EXIF: TIFF directories with loops, references out of the file, or false sizes.

Formats: EXIF 2.32 and TIFF 6.0.
"""

from __future__ import annotations

import struct
from random import Random

from benchmarks.robustness.hostile import damage

# Orientation, pointers to other directories, thumbnails, resolutions, maker note.
TAGS = (0x0112, 0x0112, 0x0112, 0x8769, 0x8825, 0xA005, 0x0201, 0x0202, 0x011A, 0x0128, 0x927C,
        0x9286, 0xB000, 0xB001, 0xB002, 0x00FE, 0x014A)  # fmt: skip


def block(random: Random) -> bytes:
    """Return a TIFF structure of some directories."""
    order = random.choice("<>")
    head = random.choice((b"II*\0", b"MM\0*")) if random.random() < 0.1 else None
    head = head or (b"II*\0" if order == "<" else b"MM\0*")
    if random.random() < 0.03:  # BigTIFF
        head = b"II+\0\x08\0\0\0"
    first = 8 if random.random() < 0.85 else random.choice((0, 4, 7, 9, 2**31, 2**32 - 1))
    data = head + struct.pack(order + "I", first)
    for _ in range(random.choice((1, 1, 2, 3, 30))):
        data += _directory(random, order, len(data))
    return damage.noise(random, data) if random.random() < 0.15 else data


def _directory(random: Random, order: str, at: int) -> bytes:
    entries = [_entry(random, order, at) for _ in range(random.choice((0, 1, 1, 3, 12)))]
    count = len(entries) if random.random() < 0.85 else random.choice((0, 1000, 65535))
    # The next directory: none, this one again, the first, right after this one, or far away.
    here = at + 6 + 12 * len(entries)
    following = random.choice((0, 0, at, 8, here, here + 10, 2**31, 2**32 - 1))
    return struct.pack(order + "H", count) + b"".join(entries) + struct.pack(order + "I", following)


def _entry(random: Random, order: str, at: int) -> bytes:
    tag = random.choice(TAGS) if random.random() < 0.9 else random.randrange(65536)
    kind = random.choice((1, 2, 3, 3, 4, 5, 7, 9, 10, 11, 12, 13, 0, 14, 255, 65535))
    count = random.choice((1, 1, 1, 0, 2, 1000, 2**16, 2**31, 2**32 - 1))
    if tag == 0x0112 and random.random() < 0.6:
        kind, count = 3, 1
        value = struct.pack(order + "HH", random.choice((*range(10), 255, 65535)), 0)
    else:
        value = struct.pack(
            order + "I", random.choice((0, 1, 6, 8, at, at + 2, 2**16, 2**31, 2**32 - 1))
        )
    return struct.pack(order + "HHI", tag, kind, count) + value
