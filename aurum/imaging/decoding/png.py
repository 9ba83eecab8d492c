"""Parsing of a PNG's chunks (PNG 3rd edition): size, EXIF block, and the picture alone."""

from __future__ import annotations

import zlib
from typing import NamedTuple

from aurum.imaging.decoding.exif import MAX_BYTES

# Encoders write some hundreds for the largest photos.
MAX_CHUNKS = 100_000
# The chunks that a decoder gets. It would unpack and keep texts and profiles, up to 8 MB each.
_PICTURE = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_ANCILLARY = 32  # this bit of the first letter of a chunk's name
# Hexadecimal digits take twice the bytes of EXIF, plus line breaks.
_MAX_PROFILE = 3 * MAX_BYTES
_PROFILE = b"Raw profile type exif"
_MAX_TRIES = 4  # number of chunks that are searched for EXIF: some writers store it in two ways
_HEAD = 8  # bytes of the signature


class PngFile(NamedTuple):
    """A parsed PNG file."""

    size: tuple[int, int]  # width and height, pixels
    frames: int  # 1 unless it is animated
    exif: bytes  # from before or after the pixels; empty if there is none
    picture: bytes  # the file with only the chunks that a decoder needs


def size(data: bytes) -> tuple[int, int]:
    """Read width and height from the header; (0, 0) without a header."""
    return (_number(data, 16), _number(data, 20)) if data[12:16] == b"IHDR" else (0, 0)


def read(data: bytes) -> PngFile | None:
    """Parse a PNG file; return None if it is damaged or has more than MAX_CHUNKS chunks.

    A file is damaged if it doesn't begin with a header or has a second one, if a chunk doesn't end
    within the file (OpenCV would allocate its stated length), or if it has an unknown critical
    chunk.
    """
    frames, exif, tries = 1, b"", 0
    kept, start, at = [], 0, _HEAD  # `start`: where the current run of kept chunks begins
    for _ in range(MAX_CHUNKS):
        length, name = _number(data, at), data[at + 4 : at + 8]
        end = at + 12 + length
        if end > len(data) or (name == b"IHDR") != (at == _HEAD):
            return None
        if name == b"IEND":
            kept.append(data[start:end])
            return PngFile(size(data), frames, exif, b"".join(kept))
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
    """Decode ImageMagick's text format, from before PNG had eXIf: name, length, hexadecimal digits.

    Returns b"" if it is invalid.
    """
    try:
        return bytes.fromhex(b"".join(text.split()[2:]).decode("ascii"))
    except ValueError:
        return b""


_READERS = {b"eXIf": _chunk, b"tEXt": _text, b"zTXt": _packed_text}
