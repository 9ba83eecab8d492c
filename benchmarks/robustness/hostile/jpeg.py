"""Hostile JPEGs: each segment is broken in ways that decoders have mishandled.

Segments are defined in ITU-T T.81, annex B.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, replace
from random import Random

from benchmarks.robustness.hostile import bases, damage, exif
from benchmarks.robustness.hostile.image_bytes import blank_jpeg, many_scans, segment, with_size

SOI, EOI, SOS, DQT, DHT, DRI, COM = 0xD8, 0xD9, 0xDA, 0xDB, 0xC4, 0xDD, 0xFE
APP0, APP1, APP2, APP14 = 0xE0, 0xE1, 0xE2, 0xEE
FRAMES = (0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF)


@dataclass(frozen=True)
class Part:
    """A segment and, after SOS, its entropy-coded data."""

    marker: int
    payload: bytes
    data: bytes = b""

    def bytes(self) -> bytes:
        """Return the part's bytes in the file."""
        return segment(self.marker, self.payload[:65533]) + self.data


def parts_of(data: bytes) -> list[Part]:
    """Split a valid JPEG into its segments."""
    parts, at = [], 2
    while data[at + 1] != EOI:
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        after = end
        if data[at + 1] == SOS:
            while data[after] != 0xFF or data[after + 1] == 0 or 0xD0 <= data[after + 1] <= 0xD7:
                after += 1
        parts.append(Part(data[at + 1], data[at + 4 : end], data[end:after]))
        at = after
    return parts


def joined(parts: list[bytes]) -> bytes:
    """Join segments to a file."""
    return b"\xff\xd8" + b"".join(parts) + b"\xff\xd9"


def _changed(random: Random, markers: tuple[int, ...], payload: object) -> bytes:
    """Return a JPEG in which one or two segments with these markers have another payload."""
    parts = parts_of(random.choice(bases.jpegs()))
    chosen = [n for n, part in enumerate(parts) if part.marker in markers]
    for n in random.sample(chosen, min(len(chosen), random.randint(1, 2))):
        parts[n] = replace(parts[n], payload=payload(random, parts[n].payload))  # type: ignore[operator]
    return joined([part.bytes() for part in parts])


def lengths(random: Random) -> bytes:
    """A segment with a false length."""
    parts = [part.bytes() for part in parts_of(random.choice(bases.jpegs()))]
    at = random.randrange(len(parts))
    true = int.from_bytes(parts[at][2:4], "big")
    near = (max(0, true + random.choice((-2, -1, 1, 2)))) % 65536
    length = struct.pack(">H", near) if random.random() < 0.4 else damage.number(random, 2)
    parts[at] = parts[at][:2] + length + parts[at][4:]
    return joined(parts)


def tables(random: Random) -> bytes:
    """Quantization and Huffman tables: wrong precision, ids, counts, too short, zeros."""

    def wrong(random: Random, payload: bytes) -> bytes:
        choice = random.randrange(5)
        if choice == 0:  # precision and id; class and id
            return bytes([random.randrange(256)]) + payload[1:]
        if choice == 1:  # counts of codes by length
            return payload[:1] + random.randbytes(16) + payload[17:]
        if choice == 2:
            return payload[:1] + bytes(len(payload) - 1)
        if choice == 3:
            return payload * random.randint(2, 20)
        return damage.noise(random, payload)

    return _changed(random, (DQT, DHT), wrong)


def frame(random: Random) -> bytes:
    """The frame header: precision, size, components, sampling factors, kind of the frame."""

    def wrong(random: Random, payload: bytes) -> bytes:
        precision, height, width, count = struct.unpack(">BHHB", payload[:6])
        rest = bytearray(payload[6:])
        choice = random.randrange(5)
        if choice == 0:
            precision = random.choice((0, 1, 7, 9, 12, 16, 255))
        elif choice == 1:  # mostly small, so that it gets decoded
            height, width = (random.choice((0, 1, 8, 17, 145, 161, 600)) for _ in range(2))
        elif choice == 2:
            count = random.choice((0, 1, 2, 4, 5, 255))
        elif choice == 3:
            for n in range(1, len(rest), 3):
                rest[n] = random.choice((0x11, 0x12, 0x14, 0x21, 0x22, 0x41, 0x44, 0x31, 0, 0xFF))
        else:
            rest = bytearray(damage.flip(random, bytes(rest), 2))
        return struct.pack(">BHHB", precision, height, width, count) + bytes(rest)

    data = _changed(random, FRAMES, wrong)
    if random.random() < 0.2:
        data = joined(
            [
                replace(part, marker=random.choice(FRAMES)).bytes()
                if part.marker in FRAMES
                else part.bytes()
                for part in parts_of(random.choice(bases.jpegs()))
            ]
        )
    return data


def scan(random: Random) -> bytes:
    """Scan headers: components, spectral selection, approximation."""

    def wrong(random: Random, payload: bytes) -> bytes:
        if random.random() < 0.5:  # the last three bytes: Ss, Se, Ah and Al
            end = bytes(random.choice((0, 1, 5, 63, 64, 255, 0x10, 0xFF)) for _ in range(3))
            return payload[:-3] + end
        return damage.noise(random, payload)

    return _changed(random, (SOS,), wrong)


def scans(random: Random) -> bytes:
    """Very many scans: real ones, copies of one, or markers that only look like scans."""
    choice = random.randrange(4)
    if choice == 0:
        side = random.choice((64, 256, 1000))
        return many_scans(side, side, random.choice((2, 50, 99, 100, 101, 102, 400, 800)))
    parts = parts_of(bases.jpegs()[random.randrange(2)])
    last = [part for part in parts if part.marker == SOS][-1]
    if choice == 1:
        parts += [last] * random.choice((1, 90, 150, 1000))
    elif choice == 2:
        parts.insert(1, Part(COM, b"\xff\xda" * random.randint(90, 30000)))
    else:
        return joined([part.bytes() for part in parts]) + b"\xff\xda\x00\x02" * 5000
    return joined([part.bytes() for part in parts])


def restarts(random: Random) -> bytes:
    """Restart markers that are missing, duplicated, out of order, or not announced."""
    parts = parts_of(random.choice((bases.jpegs()[4], bases.jpegs()[0])))
    at = next(n for n, part in enumerate(parts) if part.marker == SOS)
    data = parts[at].data
    for _ in range(random.randint(1, 4)):
        place = random.randrange(len(data))
        marker = bytes([0xFF, 0xD0 + random.randrange(8)])
        data = data[:place] + marker * random.choice((1, 1, 300)) + data[place:]
    parts[at] = replace(parts[at], data=data)
    if random.random() < 0.7:
        parts.insert(at, Part(DRI, damage.number(random, 2)))
    return joined([part.bytes() for part in parts])


def order(random: Random) -> bytes:
    """Segments that are missing, duplicated or reordered; pictures within pictures."""
    parts = damage.shuffled(random, [p.bytes() for p in parts_of(random.choice(bases.jpegs()))])
    if random.random() < 0.3:
        parts.insert(random.randrange(len(parts)), random.choice((b"\xff\xd8", b"\xff\xd9")))
    if random.random() < 0.1:
        parts.insert(random.randrange(len(parts)), bases.jpegs()[0])
    return joined(parts)


def applications(random: Random) -> bytes:
    """Application markers: JFIF thumbnails, Adobe, ICC profiles, multi-picture tables."""
    byte, word = random.randrange(256), damage.number(random, 4)
    added = random.choice(
        (
            Part(APP0, b"JFIF\0\x01\x02" + damage.number(random, 4) + bytes([byte, byte])),
            Part(APP0, b"JFXX\0" + bytes([random.choice((0x10, 0x11, 0x13, byte)), byte])),
            Part(APP14, b"Adobe" + random.randbytes(6) + bytes([byte])),
            Part(APP2, b"ICC_PROFILE\0" + bytes([byte, random.randrange(4)]) + bytes(50)),
            Part(APP2, b"ICC_PROFILE\0\x01\x01" + word + random.randbytes(200)),
            Part(APP2, b"MPF\0" + exif.block(random)),
            Part(
                APP1, b"http://ns.adobe.com/xap/1.0/\0" + b"<x:xmpmeta>" * random.choice((1, 5000))
            ),
            Part(0xED, b"Photoshop 3.0\0" + b"8BIM" + word + random.randbytes(40)),
            Part(APP2, damage.flip(random, b"FPXR\0" + bytes(30))),
            Part(COM, random.randbytes(random.choice((0, 1, 65533)))),
        )
    )
    parts = parts_of(random.choice(bases.jpegs()))
    parts = [part for part in parts if part.marker != added.marker or random.random() < 0.3]
    for _ in range(random.choice((1, 1, 1, 200))):
        parts.insert(0, added)
    return joined([part.bytes() for part in parts])


def with_exif(random: Random) -> bytes:
    """A valid JPEG with one or several hostile EXIF blocks."""
    parts = parts_of(bases.jpegs()[random.randrange(2)])
    for _ in range(random.choice((1, 1, 2, 5))):
        parts.insert(0, Part(APP1, b"Exif\0\0" + exif.block(random)))
    return joined([part.bytes() for part in parts])


def arithmetic(random: Random) -> bytes:
    """Features that few decoders support: arithmetic coding, lossless, hierarchical, 12 bits."""
    parts = parts_of(bases.jpegs()[random.randrange(2)])
    parts = [
        replace(part, marker=random.choice(FRAMES[3:])) if part.marker in FRAMES else part
        for part in parts
    ]
    parts.insert(1, Part(0xCC, random.randbytes(random.randint(0, 8))))
    return joined([part.bytes() for part in parts])


def sampling(random: Random) -> bytes:
    """Valid files with odd sampling factors and numbers of components."""
    factors = tuple(
        random.choice((0x11, 0x12, 0x21, 0x22, 0x14, 0x41, 0x44, 0x31, 0x33))
        for _ in range(random.choice((1, 2, 3, 3, 3, 4)))
    )
    return blank_jpeg(random.randint(1, 300), random.randint(1, 300), factors)


def sizes(random: Random) -> bytes:
    """The header claims another size than the data has, also beyond the limits."""
    width, height = random.choice(
        ((0, 144), (160, 0), (1, 1), (161, 145), (65535, 1), (1, 65535), (65500, 65500),
         (7071, 7072), (20000, 2500), (320, 288), (65535, 65535), (16, 3000))
    )  # fmt: skip
    return with_size(bases.jpegs()[random.randrange(2)], width, height)


def noise(random: Random) -> bytes:
    """Cuts, flips and splices anywhere."""
    return damage.noise(random, random.choice(bases.jpegs()))
