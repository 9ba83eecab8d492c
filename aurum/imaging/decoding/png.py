"""A PNG's chunks (PNG 3rd edition): its size, its EXIF block, and the picture without all else."""

from __future__ import annotations

import zlib
from typing import NamedTuple

from aurum.imaging.decoding.exif import MAX_BYTES

# Encoders write some hundred for the largest photo.
MAX_CHUNKS = 100_000
# What a decoder gets. Texts and profiles it would unpack and keep, up to 8 MB each.
_PICTURE = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_ANCILLARY = 32  # the bit of a name's first letter
# As hexadecimal digits EXIF takes twice as much and some line breaks.
_MAX_PROFILE = 3 * MAX_BYTES
_PROFILE = b"Raw profile type exif"
_MAX_TRIES = 4  # chunks that are looked at for EXIF: some writers have it there in two ways
_HEAD = 8


class Read(NamedTuple):
    """What a file says, and its picture as a file without other chunks."""

    size: tuple[int, int]
    frames: int  # 1, unless it is a film
    exif: bytes  # from before or behind the pixels; empty where there is none
    picture: bytes


def size(data: bytes) -> tuple[int, int]:
    """Width and height as the header states them; 0 where there is none."""
    return (_number(data, 16), _number(data, 20)) if data[12:16] == b"IHDR" else (0, 0)


def read(data: bytes) -> Read | None:
    """None for a file that is damaged, or has more than MAX_CHUNKS.

    Damaged: no header at its beginning, or another one later; a chunk that does not end within the
    file (OpenCV reserves what a length says); an unknown chunk that has to be understood.
    """
    frames, exif, tries = 1, b"", 0
    kept, start, at = [], 0, _HEAD  # `start`: of a run of chunks that stay
    for _ in range(MAX_CHUNKS):
        length, name = _number(data, at), data[at + 4 : at + 8]
        end = at + 12 + length
        if end > len(data) or (name == b"IHDR") != (at == _HEAD):
            return None
        if name == b"IEND":
            kept.append(data[start:end])
            return Read(size(data), frames, exif, b"".join(kept))
        if name not in _PICTURE:
            if not name[0] & _ANCILLARY:
                return None
            kept.append(data[start:at])
            start = end
        if name == b"acTL":
            frames = max(frames, _number(data, at + 8))
        elif name in _READERS and not exif and tries < _MAX_TRIES and length <= _MAX_PROFILE:
            tries += 1
            if zlib.crc32(data[at + 4 : end - 4]) == _number(data, end - 4):
                exif = _READERS[name](data[at + 8 : end - 4])
        at = end
    return None


def _number(data: bytes, at: int) -> int:
    return int.from_bytes(data[at : at + 4], "big")


def _chunk(payload: bytes) -> bytes:
    return payload if len(payload) <= MAX_BYTES else b""


def _text(payload: bytes) -> bytes:
    name, _, text = payload.partition(b"\0")
    return _profile(text) if name == _PROFILE else b""


def _packed_text(payload: bytes) -> bytes:
    name, _, packed = payload.partition(b"\0")
    if name != _PROFILE:
        return b""
    try:
        return _profile(zlib.decompressobj().decompress(packed[1:], _MAX_PROFILE))
    except zlib.error:
        return b""


def _profile(text: bytes) -> bytes:
    """What ImageMagick writes before eXIf was part of PNG: a name, a length, hexadecimal digits."""
    try:
        return bytes.fromhex(b"".join(text.split()[2:]).decode("ascii"))
    except ValueError:
        return b""


_READERS = {b"eXIf": _chunk, b"tEXt": _text, b"zTXt": _packed_text}
