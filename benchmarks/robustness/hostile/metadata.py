"""Small pictures with metadata of any size, designed to be scanned repeatedly."""

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Callable
from random import Random

from benchmarks.robustness.hostile import bases, webp
from benchmarks.robustness.hostile.heif import box
from benchmarks.robustness.hostile.image_bytes import chunk, segment

Build = Callable[[int], bytes]
_SCAN = b"\xff\xda\0\2"
_SCANS = _SCAN * 101  # one more than allowed, so that the decoder has to count them


def _jpeg(head: bytes = b"", behind: bytes = b"") -> bytes:
    data = bases.jpegs()[0]
    return data[:2] + head + data[2:-2] + behind + data[-2:]


def _filled(marker: int, payload: bytes) -> Build:
    one = segment(marker, payload)
    return lambda size: _jpeg(one * (size // len(one)))


def fill_before_scans(size: int) -> bytes:
    """Fill bytes without a marker after them: each starts a search."""
    return _jpeg(behind=b"\xff" * size + b"\0" + _SCANS)


def _behind(one: bytes) -> Build:
    return lambda size: _jpeg(behind=one * (size // len(one)) + _SCANS)


def _without_end(one: bytes) -> Build:
    return lambda size: bases.jpegs()[0][:-2] + one * (size // len(one))


def directory(payload: int) -> bytes:
    """Return an EXIF block of many entries, each of which refers to the whole block."""
    count = payload // 12
    entries = b"".join(
        struct.pack("<HHII", 0x9000 + number, 7, payload, 8) for number in range(count)
    )
    return b"II*\0" + struct.pack("<IH", 8, count) + entries + bytes(4)


def exif_directory(size: int) -> bytes:
    """Return a JPEG with such a block."""
    return _jpeg(segment(0xE1, b"Exif\0\0" + directory(size)))


def _png(one: bytes, *, before: bool = False) -> Build:
    data = bases.pngs()[0]
    at = data.index(b"IDAT") - 4 if before else len(data) - 12
    return lambda size: data[:at] + one * (size // len(one)) + data[at:]


def _webp(one: bytes) -> Build:
    head = webp.chunk(b"VP8X", bytes([0x2C, 0, 0, 0]) + b"".join(
        (side - 1).to_bytes(3, "little") for side in bases.SIZE
    ))  # fmt: skip
    picture = bases.webps()[0][12:]
    return lambda size: webp.joined([head, picture, one * (size // len(one))])


def one_webp_chunk(size: int) -> bytes:
    """Return a WebP with one EXIF chunk of prefixes."""
    return _webp(webp.chunk(b"EXIF", b"Exif\0\0" * (size // 6)))(size + 8)


def _boxes(one: bytes) -> Build:
    """Build a HEIC with boxes before those that matter."""
    data = bases.heics()[0]
    return lambda size: (
        data[: data.index(b"meta") - 4] + one * (size // len(one)) + data[data.index(b"meta") - 4 :]
    )


def _in_meta(one: bytes) -> Build:
    def build(size: int) -> bytes:
        data = bases.heics()[0]
        at = data.index(b"meta") - 4
        length = int.from_bytes(data[at : at + 4], "big")
        return (
            data[:at]
            + box(b"meta", data[at + 8 : at + length] + one * (size // len(one)))
            + data[at + length :]
        )

    return build


def _base64(text: bytes) -> Build:
    return lambda size: text * (size // len(text))


def random_base64(size: int) -> bytes:
    """Return a photo in base64 with random data after it."""
    data = bases.jpegs()[0] + Random(1).randbytes(size * 3 // 4)
    return base64.b64encode(data)


_PACKED = zlib.compress(b"0" * 150_000, 9)  # no zero bytes, which would end a text
_PROFILE = b"Raw profile type exif\0"
# Name -> builder, and the smaller of the two compared sizes, in bytes.
SHAPES: dict[str, tuple[Build, int]] = {
    "JPEG fill before scans": (fill_before_scans, 12_000),
    "JPEG fill, no end": (_without_end(b"\xff"), 12_000),
    "JPEG segments before scans": (_behind(b"\xff\xfe\0\2"), 400_000),
    "JPEG scans": (_behind(_SCAN), 400_000),
    "JPEG stuffing": (_behind(b"\xff\0"), 1_000_000),
    "JPEG EXIF segments": (_filled(0xE1, b"Exif\0\0"), 400_000),
    "JPEG EXIF prefixes": (_filled(0xE1, b"Exif\0\0" * 10), 1_000_000),
    "JPEG EXIF prefixes in large segments": (_filled(0xE1, b"Exif\0\0" * 10_000), 1_000_000),
    "JPEG EXIF directory": (exif_directory, 16_000),
    "JPEG ICC": (_filled(0xE2, b"ICC_PROFILE\0\1\1" + bytes(50)), 1_000_000),
    "JPEG XMP": (_filled(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>"), 1_000_000),
    "JPEG MPF": (_filled(0xE2, b"MPF\0" + directory(600)), 1_000_000),
    "JPEG Photoshop": (_filled(0xED, b"Photoshop 3.0\08BIM" + bytes(40)), 1_000_000),
    "JPEG comments": (_filled(0xFE, b""), 400_000),
    "JPEG tables": (_filled(0xDB, b"\0" + b"\1" * 64), 100_000),
    "PNG iTXt": (_png(chunk(b"iTXt", b"x\0\1\0\0\0" + _PACKED)), 200_000),
    "PNG zTXt": (_png(chunk(b"zTXt", b"x\0\0" + _PACKED)), 200_000),
    "PNG zTXt before": (_png(chunk(b"zTXt", b"x\0\0" + _PACKED), before=True), 200_000),
    "PNG tEXt": (_png(chunk(b"tEXt", b"x\0")), 200_000),
    "PNG iCCP": (_png(chunk(b"iCCP", b"x\0\0" + _PACKED), before=True), 200_000),
    "PNG eXIf": (_png(chunk(b"eXIf", b"Exif\0\0" * 10)), 400_000),
    "PNG eXIf directory": (lambda size: _png(chunk(b"eXIf", directory(size)))(size + 100), 16_000),
    "PNG profiles": (_png(chunk(b"zTXt", _PROFILE + b"\0" + _PACKED)), 200_000),
    "PNG empty IDAT": (_png(chunk(b"IDAT", b""), before=True), 200_000),
    "WebP EXIF chunks": (_webp(webp.chunk(b"EXIF", b"Exif\0\0")), 30_000),
    "WebP EXIF prefixes": (one_webp_chunk, 1_000_000),
    "WebP ICCP": (_webp(webp.chunk(b"ICCP", bytes(100))), 200_000),
    "WebP XMP": (_webp(webp.chunk(b"XMP ", b"<x:xmpmeta>" * 100)), 1_000_000),
    "WebP frames": (_webp(webp.chunk(b"ANMF", bytes(24))), 60_000),
    "HEIF boxes": (_boxes(box(b"free", b"")), 9000),
    "HEIF boxes in meta": (_in_meta(box(b"free", b"")), 9000),
    "HEIF metadata": (_in_meta(box(b"free", bytes(1000))), 200_000),
    "base64 blanks": (_base64(b" "), 1_000_000),
    "base64 padding": (_base64(b"/9j/="), 1_000_000),
    "base64 letters": (_base64(b"/9j/"), 1_000_000),
    "base64 data URLs": (_base64(b"data:;base64,"), 1_000_000),
    "base64 photo": (random_base64, 1_000_000),
}  # fmt: skip


def any_of_any_size(random: Random) -> bytes:
    """One of these files; small sizes are more frequent."""
    build, size = random.choice(list(SHAPES.values()))
    return build(size * random.choice((1, 1, 1, 2, 4)))
