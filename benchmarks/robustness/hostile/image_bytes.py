"""Build parts of image files, and files that no encoder writes, byte by byte."""

from __future__ import annotations

import struct
import zlib

from PIL import Image


def segment(marker: int, payload: bytes) -> bytes:
    """Return a JPEG segment with its length."""
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def chunk(name: bytes, payload: bytes) -> bytes:
    """Return a PNG chunk with its length and CRC."""
    return (
        struct.pack(">I", len(payload))
        + name
        + payload
        + struct.pack(">I", zlib.crc32(name + payload))
    )


def exif(orientation: int) -> bytes:
    """Return an EXIF block with an orientation, in the form that encoders such as Pillow's take."""
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes()


def oriented(jpeg: bytes, orientation: int) -> bytes:
    """Add an EXIF block with an orientation to a JPEG."""
    return jpeg[:2] + segment(0xE1, exif(orientation)) + jpeg[2:]


def start_of_frame(data: bytes) -> int:
    """Return the offset of a JPEG's frame header (SOF0 or SOF2)."""
    at = 2
    while data[at + 1] not in (0xC0, 0xC2):
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return at


def entropy(data: bytes) -> int:
    """Return the offset of a JPEG's first entropy-coded data."""
    at = data.index(b"\xff\xda")
    return at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")


def with_size(data: bytes, width: int, height: int) -> bytes:
    """Change the size in the header of a JPEG, PNG, WebP (VP8, VP8L), HEIC or AVIF.

    The pixels, and a grid's tiles, stay the same.
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
    """Change the number of bits per sample in a JPEG's header."""
    at = start_of_frame(jpeg) + 4
    return jpeg[:at] + bytes([bits]) + jpeg[at + 1 :]


def png_of(rows: bytes, *, width: int, height: int, depth: int = 8, color: int = 2) -> bytes:
    """Return a PNG of filtered rows."""
    header = struct.pack(">IIBBBBB", width, height, depth, color, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(rows))
        + chunk(b"IEND", b"")
    )


def blank_jpeg(width: int, height: int, sampling: tuple[int, ...]) -> bytes:
    """Return a gray baseline JPEG of empty blocks, with any sampling factors (0x21: 2x1)."""
    across = max(factors >> 4 for factors in sampling)
    down = max(factors & 15 for factors in sampling)
    units = -(-width // (8 * across)) * -(-height // (8 * down))
    blocks = sum((factors >> 4) * (factors & 15) for factors in sampling)
    parts = bytes(x for n, factors in enumerate(sampling, 1) for x in (n, factors, 0))
    count = len(sampling)
    # In both tables the code 0 means "nothing": two bits per block.
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
    """Return a valid progressive JPEG (gray, blank) with very many scans: small, slow to decode."""
    blocks = -(-width // 8) * -(-height // 8)
    bits = ("0" + "1" * 14) * -(-blocks // 32767)  # runs of 32767 unchanged blocks
    bits += "1" * (-len(bits) % 8)
    run = bytes(int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)).replace(
        b"\xff", b"\xff\0"
    )
    # Coefficient by coefficient, bit by bit, which the standard allows.
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
