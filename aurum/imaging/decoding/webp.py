"""Parsing of a WebP's chunks (RFC 9649): size, EXIF block, and the picture alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from aurum.imaging.decoding.exif import MAX_BYTES, PREFIX

# Besides the picture there may be a profile, EXIF and XMP. An animation has one chunk per frame.
MAX_CHUNKS = 10_000
_HEAD = 12  # bytes: RIFF, a length, WEBP
_FRAME_HEAD = 16  # bytes of an animation frame before its chunks


class WebpFile(NamedTuple):
    """A parsed WebP file."""

    size: tuple[int, int]  # width and height, pixels
    frames: int  # 1 unless it is animated
    exif: bytes  # empty if there is none
    picture: bytes  # a file of the picture alone, without the alpha of a lossy one; b"" if animated


def read(data: bytes) -> WebpFile | None:
    """Parse a WebP file; return None if it is damaged or has more than MAX_CHUNKS chunks."""
    if data[_HEAD : _HEAD + 4] != b"VP8X":
        return _one(data, _HEAD, len(data))
    canvas = _number(data, 24, 3) + 1, _number(data, 27, 3) + 1
    start, end, frames, exif = _HEAD, len(data), 0, b""
    for count, (name, at, behind) in enumerate(_chunks(data, _HEAD, len(data))):
        if count == MAX_CHUNKS:
            return None
        if name == b"ANMF":
            frames += 1
            start, end = at + _FRAME_HEAD, min(behind, len(data))
        elif name == b"EXIF" and not exif:
            exif = data[at:behind][: MAX_BYTES + len(PREFIX)]
    if frames > 1:
        return WebpFile(canvas, frames, exif, b"")
    found = _one(data, start, end)
    return found._replace(exif=exif) if found and found.size == canvas else None


def _one(data: bytes, start: int, end: int) -> WebpFile | None:
    """The first picture among the chunks from `start` to `end`."""
    for _, (name, at, behind) in zip(range(MAX_CHUNKS), _chunks(data, start, end), strict=False):
        if name in _SIZES:
            size = _SIZES[name](data[at : at + 10])
            return (
                WebpFile(size, 1, b"", _file(name, data[at:behind]))
                if size and behind <= end
                else None
            )
    return None


def _file(name: bytes, payload: bytes) -> bytes:
    chunk = name + len(payload).to_bytes(4, "little") + payload + b"\0" * (len(payload) & 1)
    return b"RIFF" + (4 + len(chunk)).to_bytes(4, "little") + b"WEBP" + chunk


def _chunks(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of each chunk's payload; the last end may be beyond the data's."""
    while at + 8 <= end:
        length = _number(data, at + 4, 4)
        yield data[at : at + 4], at + 8, at + 8 + length
        at += 8 + length + (length & 1)


def _lossy(head: bytes) -> tuple[int, int] | None:
    """Read the size of a lossy key frame (RFC 6386, 9.1)."""
    if head[3:6] != b"\x9d\x01\x2a" or len(head) < 10:
        return None
    return _number(head, 6, 2) & 0x3FFF, _number(head, 8, 2) & 0x3FFF


def _lossless(head: bytes) -> tuple[int, int] | None:
    """Read the size of a lossless picture (RFC 9649)."""
    if head[:1] != b"\x2f" or len(head) < 5:
        return None
    bits = _number(head, 1, 4)
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1


def _number(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "little")


_SIZES = {b"VP8 ": _lossy, b"VP8L": _lossless}
