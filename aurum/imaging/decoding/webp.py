"""A WebP's chunks (RFC 9649): its size, its EXIF block, and the picture without all else."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from aurum.imaging.decoding.exif import MAX_BYTES, PREFIX

# What is no picture: a profile, EXIF, XMP; a film has a chunk for each frame.
MAX_CHUNKS = 10_000
_HEAD = 12  # RIFF, a length, WEBP
_FRAME_HEAD = 16  # of a frame of a film, before its chunks


class Read(NamedTuple):
    """What a file says, and its one picture as a file of its own: no alpha of a lossy one."""

    size: tuple[int, int]
    frames: int  # 1, unless it is a film
    exif: bytes
    picture: bytes


def read(data: bytes) -> Read | None:
    """None for a file that is damaged, or has more than MAX_CHUNKS."""
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
        return Read(canvas, frames, exif, b"")
    found = _one(data, start, end)
    return found._replace(exif=exif) if found and found.size == canvas else None


def _one(data: bytes, start: int, end: int) -> Read | None:
    """The first picture among the chunks from `start` to `end`."""
    for _, (name, at, behind) in zip(range(MAX_CHUNKS), _chunks(data, start, end), strict=False):
        if name in _SIZES:
            size = _SIZES[name](data[at : at + 10])
            return (
                Read(size, 1, b"", _file(name, data[at:behind])) if size and behind <= end else None
            )
    return None


def _file(name: bytes, payload: bytes) -> bytes:
    chunk = name + len(payload).to_bytes(4, "little") + payload + b"\0" * (len(payload) & 1)
    return b"RIFF" + (4 + len(chunk)).to_bytes(4, "little") + b"WEBP" + chunk


def _chunks(data: bytes, at: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """Name, start and end of each chunk's payload; the last end may lie behind the data's."""
    while at + 8 <= end:
        length = _number(data, at + 4, 4)
        yield data[at : at + 4], at + 8, at + 8 + length
        at += 8 + length + (length & 1)


def _lossy(head: bytes) -> tuple[int, int] | None:
    """Of a key frame (RFC 6386, 9.1)."""
    if head[3:6] != b"\x9d\x01\x2a" or len(head) < 10:
        return None
    return _number(head, 6, 2) & 0x3FFF, _number(head, 8, 2) & 0x3FFF


def _lossless(head: bytes) -> tuple[int, int] | None:
    if head[:1] != b"\x2f" or len(head) < 5:
        return None
    bits = _number(head, 1, 4)
    return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1


def _number(data: bytes, at: int, size: int) -> int:
    return int.from_bytes(data[at : at + size], "little")


_SIZES = {b"VP8 ": _lossy, b"VP8L": _lossless}
