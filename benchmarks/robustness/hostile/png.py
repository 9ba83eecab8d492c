"""Hostile PNGs: false chunks with correct checksums, and decompression bombs.

Chunks are defined in the PNG specification (W3C, third edition), including animation chunks.
"""

from __future__ import annotations

import struct
import zlib
from functools import cache
from random import Random

from benchmarks.robustness.hostile import bases, damage, exif
from benchmarks.robustness.hostile.image_bytes import chunk, png_of

SIGNATURE = b"\x89PNG\r\n\x1a\n"
Chunks = list[tuple[bytes, bytes]]


def chunks_of(data: bytes) -> Chunks:
    """Split a valid PNG into chunks: names and payloads."""
    chunks, at = [], 8
    while at < len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        chunks.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + length]))
        at += 12 + length
    return chunks


def joined(chunks: Chunks) -> bytes:
    """Join chunks to a file."""
    return SIGNATURE + b"".join(chunk(name, payload) for name, payload in chunks)


def _some(random: Random) -> Chunks:
    return chunks_of(random.choice(bases.pngs()))


def header(random: Random) -> bytes:
    """IHDR: sizes, depths, colour types, methods and interlacing that don't match the data."""
    chunks = _some(random)
    width, height, depth, color, packing, filtering, interlace = struct.unpack(
        ">IIBBBBB", chunks[0][1]
    )
    choice = random.randrange(4)
    if choice == 0:
        width, height = (random.choice((0, 1, 159, 161, 2**31, 2**31 - 1, 2**32 - 1)) for _ in "wh")
    elif choice == 1:
        depth, color = random.choice((0, 1, 2, 3, 4, 8, 16, 32)), random.choice((0, 2, 3, 4, 6, 7))
    elif choice == 2:
        packing, filtering = random.choice((0, 1, 255)), random.choice((0, 1, 64, 255))
    else:
        interlace = random.choice((1, 1, 2, 255))
    fields = (width, height, depth, color, packing, filtering, interlace)
    payload = struct.pack(">IIBBBBB", *fields)
    if random.random() < 0.1:
        payload = payload[: random.randrange(14)] + bytes(random.randrange(9))
    return joined([(b"IHDR", payload), *chunks[1:]])


def payloads(random: Random) -> bytes:
    """Damaged payloads with correct checksums."""
    chunks = _some(random)
    at = random.randrange(len(chunks))
    chunks[at] = (chunks[at][0], damage.noise(random, chunks[at][1] or b"\0"))
    return joined(chunks)


def checks(random: Random) -> bytes:
    """False lengths and checksums."""
    parts = [chunk(*item) for item in _some(random)]
    at = random.randrange(len(parts))
    if random.random() < 0.5:
        parts[at] = parts[at][:-4] + random.randbytes(4)
    else:
        parts[at] = damage.number(random, 4) + parts[at][4:]
    return SIGNATURE + b"".join(parts)


def order(random: Random) -> bytes:
    """Chunks that are missing, duplicated or reordered."""
    return SIGNATURE + b"".join(damage.shuffled(random, [chunk(*item) for item in _some(random)]))


def packed(random: Random) -> bytes:
    """IDAT: truncated, too short, too long, with unknown filters, in many pieces."""
    width, height = random.randint(1, 200), random.randint(1, 200)
    row = bytes([random.choice((0, 1, 2, 3, 4, 5, 255))]) + random.randbytes(width * 3)
    rows = row * random.choice((height, height, height - 1, height + 1, height * 20))
    data = png_of(rows, width=width, height=height)
    chunks = chunks_of(data)
    idat = chunks[1][1]
    choice = random.randrange(5)
    if choice == 0:
        idat = damage.cut(random, idat)
    elif choice == 1:
        idat = idat[:-4] + random.randbytes(4)  # its own checksum
    elif choice == 2:
        idat = bytes([random.randrange(256), random.randrange(256)]) + idat[2:]  # method, window
    pieces = [(b"IDAT", idat)]
    if choice == 3:
        pieces = [(b"IDAT", idat[at : at + 1]) for at in range(min(len(idat), 3000))]
    elif choice == 4:
        pieces = [(b"IDAT", b"")] * 2000 + [(b"IDAT", idat)]
    return joined([chunks[0], *pieces, chunks[-1]])


@cache
def _zeros(megabytes: int) -> bytes:
    packer = zlib.compressobj(9)
    return b"".join(packer.compress(bytes(1 << 20)) for _ in range(megabytes)) + packer.flush()


def bombs(random: Random) -> bytes:
    """Small data that decompresses to megabytes: pixels, texts, colour profiles."""
    zeros = _zeros(random.choice((1, 16, 64)))
    chunks = chunks_of(bases.pngs()[0])
    choice = random.randrange(4)
    if choice == 0:  # far more than the picture holds
        return joined([chunks[0], (b"IDAT", zeros), chunks[-1]])
    if choice == 1:
        name = random.choice((b"zTXt", b"iCCP"))
        return joined([chunks[0], (name, b"x\0\0" + zeros), *chunks[1:]])
    if choice == 2:
        texts = [(b"iTXt", b"x\0\x01\0\0\0" + zeros)] * random.choice((1, 3))
        return joined([chunks[0], *texts, *chunks[1:]])
    side = random.choice((3000, 7072, 16384, 100_000))  # 1 bit per pixel; 7072 is over the limit
    head = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return joined([(b"IHDR", head), (b"IDAT", zeros), (b"IEND", b"")])


def animated(random: Random) -> bytes:
    """Animation chunks with false values or in forbidden places."""
    chunks = chunks_of(bases.pngs()[-1] if random.random() < 0.7 else bases.pngs()[0])
    for _ in range(random.randint(1, 3)):
        frames = struct.pack(">II", random.choice((0, 1, 2, 2**31, 2**32 - 1)), 0)
        control = damage.number(random, 4) + b"".join(damage.number(random, 4) for _ in range(4))
        chunks.insert(
            random.randrange(1, len(chunks)),
            random.choice(
                (
                    (b"acTL", frames),
                    (b"fcTL", control + bytes(6)),
                    (b"fdAT", damage.number(random, 4) + random.randbytes(20)),
                    (b"acTL", frames[:3]),
                )
            ),
        )
    return joined(chunks)


def palette(random: Random) -> bytes:
    """Palettes and other small chunks with wrong sizes and values."""
    chunks = _some(random)
    extra = random.choice(
        (
            (b"PLTE", random.randbytes(random.choice((0, 1, 3, 768, 771, 3000)))),
            (b"tRNS", random.randbytes(random.choice((0, 1, 2, 6, 256, 257)))),
            (b"gAMA", damage.number(random, 4)),
            (b"cHRM", b"".join(damage.number(random, 4) for _ in range(8))),
            (b"pHYs", damage.number(random, 4) * 2 + b"\1"),
            (b"sBIT", random.randbytes(random.randrange(6))),
            (b"bKGD", random.randbytes(random.randrange(8))),
            (b"hIST", random.randbytes(random.randrange(600))),
            (b"sRGB", random.randbytes(random.randrange(3))),
            (b"tEXt", b"x" * random.choice((0, 79, 80, 1_000_000))),
            (b"ABCD", b"a critical chunk that nobody knows"),
            (b"abcd", random.randbytes(2000)),
        )
    )
    at = random.randrange(1, len(chunks))
    return joined(chunks[:at] + [extra] * random.choice((1, 1, 500)) + chunks[at:])


def with_exif(random: Random) -> bytes:
    """A valid PNG with a hostile EXIF block."""
    chunks = _some(random)
    return joined([chunks[0], (b"eXIf", exif.block(random)), *chunks[1:]])


def noise(random: Random) -> bytes:
    """Cuts, flips and splices anywhere."""
    return damage.noise(random, random.choice(bases.pngs()))
