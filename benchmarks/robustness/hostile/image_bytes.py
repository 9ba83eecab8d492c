"""Files by the byte: parts of them, and files that no encoder writes."""

from __future__ import annotations

import struct
import zlib

from PIL import Image


def segment(marker: int, payload: bytes) -> bytes:
    """A JPEG segment with its length."""
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def chunk(name: bytes, payload: bytes) -> bytes:
    """A PNG chunk with its length and CRC."""
    return (
        struct.pack(">I", len(payload))
        + name
        + payload
        + struct.pack(">I", zlib.crc32(name + payload))
    )


def exif(orientation: int) -> bytes:
    """An EXIF block that states an orientation, as Pillow's and other writers take it."""
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes()


def oriented(jpeg: bytes, orientation: int) -> bytes:
    """The JPEG with an EXIF block that states an orientation."""
    return jpeg[:2] + segment(0xE1, exif(orientation)) + jpeg[2:]


def start_of_frame(data: bytes) -> int:
    """Where a JPEG's frame header (SOF0 or SOF2) starts."""
    at = 2
    while data[at + 1] not in (0xC0, 0xC2):
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return at


def entropy(data: bytes) -> int:
    """Where a JPEG's first entropy-coded data starts."""
    at = data.index(b"\xff\xda")
    return at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")


def with_size(data: bytes, width: int, height: int) -> bytes:
    """A JPEG, PNG, WebP (VP8, VP8L), HEIC or AVIF whose header states another size.

    Its pixels stay; of a grid, its tiles, too.
    """
    changed = bytearray(data)
    if data[:2] == b"\xff\xd8":
        at = start_of_frame(data) + 5
        changed[at : at + 4] = struct.pack(">HH", height, width)
    elif data[:4] == b"\x89PNG":
        changed[16:24] = struct.pack(">II", width, height)
        changed[29:33] = struct.pack(">I", zlib.crc32(changed[12:29]))
    elif data[12:16] == b"VP8 ":
        changed[26:30] = struct.pack("<HH", width, height)
    elif data[4:8] == b"ftyp":
        at = data.index(b"ispe") + 8
        stated = data[at : at + 8]
        changed = bytearray(
            data.replace(b"ispe\0\0\0\0" + stated, b"ispe" + struct.pack(">III", 0, width, height))
        )
    else:
        assert data[12:16] == b"VP8L"
        (bits,) = struct.unpack("<I", data[21:25])
        size = (width - 1) | (height - 1) << 14
        changed[21:25] = struct.pack("<I", bits & 0xF0000000 | size)
    return bytes(changed)


def with_precision(jpeg: bytes, bits: int) -> bytes:
    """A JPEG that says it has so many bits a sample."""
    at = start_of_frame(jpeg) + 4
    return jpeg[:at] + bytes([bits]) + jpeg[at + 1 :]


def png_of(rows: bytes, *, width: int, height: int, depth: int = 8, color: int = 2) -> bytes:
    """A PNG around filtered rows."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def blank_jpeg(width: int, height: int, sampling: tuple[int, ...]) -> bytes:
    """A gray baseline JPEG with any sampling factors (0x21: 2x1), of empty blocks."""
    across = max(factors >> 4 for factors in sampling)
    down = max(factors & 15 for factors in sampling)
    units = -(-width // (8 * across)) * -(-height // (8 * down))
    blocks = sum((factors >> 4) * (factors & 15) for factors in sampling)
    parts = bytes(x for n, factors in enumerate(sampling, 1) for x in (n, factors, 0))
    count = len(sampling)
    # In both tables the code 0 stands for "nothing": two bits a block.
    packed = bytes(-(-units * blocks * 2 // 8))
    return (
        b"\xff\xd8"
        + segment(0xDB, b"\0" + b"\1" * 64)
        + segment(0xC0, struct.pack(">BHHB", 8, height, width, count) + parts)
        + segment(0xC4, b"\x00\x01" + bytes(15) + b"\0")
        + segment(0xC4, b"\x10\x01" + bytes(15) + b"\0")
        + segment(0xDA, bytes([count, *(x for n in range(count) for x in (n + 1, 0)), 0, 63, 0]))
        + packed
        + b"\xff\xd9"
    )


def many_scans(width: int, height: int, scans: int) -> bytes:
    """A valid progressive JPEG (gray, blank) in very many scans: slow to decode, though small."""
    blocks = -(-width // 8) * -(-height // 8)
    bits = ("0" + "1" * 14) * -(-blocks // 32767)  # runs of 32767 blocks without news
    bits += "1" * (-len(bits) % 8)
    run = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)).replace(
        b"\xff", b"\xff\0"
    )
    # Coefficient by coefficient, bit by bit: what the standard allows an encoder to do.
    steps = [(k, al) for k in range(1, 64) for al in range(13, -1, -1)][: scans - 1]
    body = b"".join(
        segment(0xDA, bytes([1, 1, 0, k, k, al if al == 13 else (al + 1) << 4 | al])) + run
        for k, al in steps
    )
    return (
        b"\xff\xd8"
        + segment(0xDB, b"\0" + b"\1" * 64)
        + segment(0xC2, struct.pack(">BHHB", 8, height, width, 1) + b"\1\x11\0")
        + segment(0xC4, b"\x00\x01" + bytes(15) + b"\0")
        + segment(0xC4, b"\x10\x01" + bytes(15) + b"\xe0")
        + segment(0xDA, b"\1\1\0\0\0\0")
        + bytes(-(-blocks // 8))
        + body
        + b"\xff\xd9"
    )
