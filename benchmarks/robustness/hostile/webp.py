"""Hostile WebPs with false RIFF chunks (RFC 9649)."""

from __future__ import annotations

import struct
from random import Random

from benchmarks.robustness.hostile import bases, damage, exif

Chunks = list[tuple[bytes, bytes]]


def chunks_of(data: bytes) -> Chunks:
    """Split a valid WebP into chunks: names and payloads."""
    chunks, at = [], 12
    while at < len(data):
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        chunks.append((data[at : at + 4], data[at + 8 : at + 8 + length]))
        at += 8 + length + length % 2
    return chunks


def chunk(name: bytes, payload: bytes) -> bytes:
    """Return a chunk with its length and padding."""
    return name + struct.pack("<I", len(payload)) + payload + b"\0" * (len(payload) % 2)


def joined(parts: list[bytes]) -> bytes:
    """Join chunks to a file."""
    body = b"WEBP" + b"".join(parts)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def _some(random: Random) -> Chunks:
    return chunks_of(random.choice(bases.webps()))


def lengths(random: Random) -> bytes:
    """A false length of the file or of a chunk."""
    parts = [chunk(*item) for item in _some(random)]
    if random.random() < 0.5:
        at = random.randrange(len(parts))
        parts[at] = parts[at][:4] + damage.number(random, 4, "<") + parts[at][8:]
        return joined(parts)
    data = joined(parts)
    return data[:4] + damage.number(random, 4, "<") + data[8:]


def payloads(random: Random) -> bytes:
    """Damaged bitstreams and headers."""
    chunks = _some(random)
    at = random.randrange(len(chunks))
    name, payload = chunks[at]
    if random.random() < 0.5:  # the part with sizes, flags and tables
        head = damage.flip(random, payload[:30], 4)
        chunks[at] = (name, head + payload[30:])
    else:
        chunks[at] = (name, damage.noise(random, payload))
    return joined([chunk(*item) for item in chunks])


def order(random: Random) -> bytes:
    """Chunks that are missing, duplicated or reordered."""
    return joined(damage.shuffled(random, [chunk(*item) for item in _some(random)]))


def extended(random: Random) -> bytes:
    """An extended header with arbitrary flags and canvas, before valid or animated pictures."""
    rest = [item for item in _some(random) if item[0] != b"VP8X"]
    canvas = b"".join(damage.number(random, 4, "<")[:3] for _ in range(2))
    flags = bytes([random.randrange(256)]) + bytes(3)
    chunks = [(b"VP8X", flags + canvas), *rest]
    for _ in range(random.randrange(3)):
        chunks.insert(
            random.randrange(1, len(chunks) + 1),
            random.choice(
                (
                    (b"ANIM", random.randbytes(random.choice((0, 6)))),
                    (b"ANMF", random.randbytes(16) + chunk(*rest[0])),
                    (b"ALPH", bytes([random.randrange(256)]) + random.randbytes(50)),
                    (b"ICCP", random.randbytes(200)),
                    (b"XMP ", b"<x>" * 3000),
                )
            ),
        )
    return joined([chunk(*item) for item in chunks])


def with_exif(random: Random) -> bytes:
    """A valid WebP with a hostile EXIF block."""
    chunks = [item for item in chunks_of(bases.webps()[3]) if item[0] != b"EXIF"]
    head = random.choice((b"", b"Exif\0\0"))
    return joined([chunk(*item) for item in [*chunks, (b"EXIF", head + exif.block(random))]])


def noise(random: Random) -> bytes:
    """Cuts, flips and splices anywhere."""
    return damage.noise(random, random.choice(bases.webps()))
