"""Damage for any format: numbers at the limits of their types, cuts, flips, splices."""

from __future__ import annotations

import struct
from random import Random

# Edge cases: where integers overflow, change their sign, or claim impossible sizes.
EDGES = (0, 1, 2, 3, 7, 8, 127, 128, 254, 255, 256, 32767, 32768, 65535, 65536, 2**24, 2**31 - 1,
         2**31, 2**32 - 2, 2**32 - 1)  # fmt: skip


def number(random: Random, size: int, order: str = ">") -> bytes:
    """Return an integer of `size` bytes (1, 2 or 4), mostly an edge case."""
    value = random.choice(EDGES) if random.random() < 0.8 else random.getrandbits(32)
    return struct.pack(order + {1: "B", 2: "H", 4: "I"}[size], value % (1 << 8 * size))


def cut(random: Random, data: bytes) -> bytes:
    """Keep only the beginning."""
    return data[: random.randrange(len(data) + 1)]


def flip(random: Random, data: bytes, most: int = 20) -> bytes:
    """Change some bytes."""
    changed = bytearray(data)
    for _ in range(random.randint(1, most) if changed else 0):
        changed[random.randrange(len(changed))] = random.randrange(256)
    return bytes(changed)


def overwrite(random: Random, data: bytes) -> bytes:
    """Overwrite some place with an integer of 1, 2 or 4 bytes."""
    value = number(random, random.choice((1, 2, 4)), random.choice("<>"))
    at = random.randrange(len(data) + 1)
    return data[:at] + value + data[at + len(value) :]


def splice(random: Random, data: bytes) -> bytes:
    """Remove, duplicate or move a part."""
    start, end = sorted(random.randrange(len(data) + 1) for _ in range(2))
    part, rest = data[start:end], data[:start] + data[end:]
    at = random.randrange(len(rest) + 1)
    return random.choice((rest, data[:end] + part + data[end:], rest[:at] + part + rest[at:]))


def noise(random: Random, data: bytes) -> bytes:
    """Apply one to three of these."""
    for _ in range(random.randint(1, 3)):
        data = random.choice((cut, flip, overwrite, splice))(random, data)
    return data


def shuffled(random: Random, parts: list[bytes]) -> list[bytes]:
    """Remove, duplicate and reorder parts."""
    parts = list(parts)
    for _ in range(random.randint(1, 3)):
        at = random.randrange(len(parts))
        change = random.randrange(3)
        if change == 0 and len(parts) > 1:
            del parts[at]
        elif change == 1:
            parts.insert(random.randrange(len(parts) + 1), parts[at])
        else:
            other = random.randrange(len(parts))
            parts[at], parts[other] = parts[other], parts[at]
    return parts
