"""Parsing of a JPEG's segments, frame and scans (ITU-T T.81), without decoding."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from aurum.imaging.decoding.exif import PREFIX

# Progressive JPEGs usually have about ten.
MAX_SCANS = 100
# A dozen are usual. A segment of four bytes costs one step in Python.
MAX_SEGMENTS = 10_000
# A JPEG marker that starts a segment, or ends the picture: not fill, stuffing or a restart.
_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])")
END = b"\xff\xd9"
_END, _SCAN, _EXIF, _COMMENT = END[1], 0xDA, 0xE1, 0xFE
# Start of frame: baseline to arithmetic, without the tables that lie between (DHT, JPG, DAC).
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_PROGRESSIVE = {0xC2, 0xCA}
_HUFFMAN = {0xC0, 0xC1, 0xC2}
# Of the application segments, decoders only need those that describe the colours.
_APPLICATIONS = range(0xE0, 0xF0)
_COLOURS = {0xE0: b"JFIF\0", 0xEE: b"Adobe"}
_NEVER = b"\xff\xff"  # no payload of a segment to keep begins like this
_BLOCK = 8  # pixels on each side
_BLOCK_BYTES = 128  # its 64 coefficients


class Frame(NamedTuple):
    """The frame header, and part of the first scan header."""

    marker: int  # the kind of coding
    precision: int  # bits per sample
    size: tuple[int, int]  # width and height, pixels
    sampling: tuple[tuple[int, int, int], ...]  # per component: id, horizontal, vertical factor
    interleaved: bool  # whether the first scan has all components

    @property
    def blocks(self) -> int:
        """Number of blocks of 8x8 samples in all components."""
        across = max(x for _, x, _ in self.sampling)
        down = max(y for _, _, y in self.sampling)
        width, height = self.size
        units = -(-width // (_BLOCK * across)) * -(-height // (_BLOCK * down))
        return units * sum(x * y for _, x, y in self.sampling)

    @property
    def coefficients(self) -> int:
        """Bytes of all coefficients, if a decoder has to keep them for later scans; else 0."""
        if self.marker not in _PROGRESSIVE and self.interleaved:
            return 0
        return self.blocks * _BLOCK_BYTES


class JpegFile(NamedTuple):
    """A parsed JPEG file."""

    frame: Frame
    exif: bytes  # the segment's payload, with its prefix; empty without one
    picture: bytes  # the file without comments and application segments (but those for colours)


class _Segment(NamedTuple):
    code: int  # the marker's second byte
    begin: int  # where its marker begins
    start: int  # where its payload begins
    end: int  # where its payload ends; may be beyond the end of the file

    def payload(self, data: bytes) -> bytes:
        return data[self.start : self.end]


def read(data: bytes) -> JpegFile | None:
    """Parse a JPEG file up to its first scan.

    Returns None if the frame or scan header is invalid, or not within MAX_SEGMENTS segments.
    """
    found, exif = None, b""
    # Runs of consecutive segments are copied at once. Bytes between segments are dropped, too.
    kept: list[bytes] = []
    start, stop = 0, 2
    for _, segment in zip(range(MAX_SEGMENTS), _segments(data), strict=False):
        code = segment.code
        if code == _COMMENT or code in _APPLICATIONS:
            if not exif and code == _EXIF and data.startswith(PREFIX, segment.start):
                exif = segment.payload(data)
            if not data.startswith(_COLOURS.get(code, _NEVER), segment.start):
                continue
        elif code in _FRAMES and found is None:
            found = _frame(code, segment.payload(data))
        if segment.begin != stop:
            kept.append(data[start:stop])
            start = segment.begin
        stop = segment.end
        if code == _SCAN:
            if found is None or segment.start >= min(segment.end, len(data)):
                return None
            interleaved = data[segment.start] >= len(found.sampling)
            picture = b"".join((*kept, data[start:])) if kept else data
            return JpegFile(found._replace(interleaved=interleaved), exif, picture)
        if code == _END or (code in _FRAMES and found is None):
            return None
    return None


def _segments(data: bytes) -> Iterator[_Segment]:
    at = 2
    while marker := _MARKER.search(data, at):
        start = marker.end()
        at = start + int.from_bytes(data[start : start + 2], "big")
        yield _Segment(marker[1][0], marker.start(), start + 2, at)


def _frame(code: int, segment: bytes) -> Frame | None:
    if len(segment) < 6 or not segment[5] or len(segment) < 6 + 3 * segment[5]:
        return None
    parts = tuple(
        (segment[at], segment[at + 1] >> 4, segment[at + 1] & 15)
        for at in range(6, 6 + 3 * segment[5], 3)
    )
    if not all(x and y for _, x, y in parts):
        return None
    height, width = (int.from_bytes(segment[at : at + 2], "big") for at in (1, 3))
    return Frame(code, segment[0], (width, height), parts, True)


def scans(data: bytes) -> int:
    """Count the scans, or return an upper limit of at most MAX_SCANS.

    Each scan costs a pass over all pixels, but only needs some 40 bytes in the file. The result is
    also above MAX_SCANS if there are more than MAX_SEGMENTS segments.
    """
    # NumPy looks for two bytes four times as fast as `bytes.count`.
    values = np.frombuffer(data, np.uint8)
    starts = np.flatnonzero(values[:-1] == 0xFF)
    most = np.count_nonzero(values[starts + 1] == _SCAN)
    if most <= MAX_SCANS:
        return most
    # Some of these may be in a segment's payload or after the photo, so count the real ones.
    found = 0
    for number, segment in enumerate(_segments(data)):
        if segment.code == _END:
            return found
        found += segment.code == _SCAN
        if found > MAX_SCANS or number > MAX_SEGMENTS:
            return MAX_SCANS + 1
    return found


def lacks_only_end_marker(data: bytes) -> bool:
    """Whether a JPEG has no end marker, but scans for all bits of all coefficients.

    The last scan's data isn't checked: once an end marker is appended, a decoder of Huffman codes
    reports missing bits. With arithmetic coding the last bytes may be missing without notice, so
    such files need their end marker.
    """
    head = read(data)
    if head is None or head.frame.marker not in _HUFFMAN:
        return False
    frame = head.frame
    # By component: for each coefficient the lowest bit that the scans so far contain.
    known: dict[int, list[int | None]] = {part: [None] * 64 for part, _, _ in frame.sampling}
    for number, segment in enumerate(_segments(data)):
        if segment.code == _END or segment.end > len(data) or number > MAX_SEGMENTS:
            return False
        if segment.code == _SCAN and not _add_scan(
            known, segment.payload(data), progressive=frame.marker in _PROGRESSIVE
        ):
            return False
    return all(bit == 0 for bits in known.values() for bit in bits)


def _add_scan(known: dict[int, list[int | None]], segment: bytes, *, progressive: bool) -> bool:
    """Add the bits that a scan contains to `known`; False if its header is invalid."""
    if not segment or len(segment) < 4 + 2 * segment[0]:
        return False
    first, last, bits = segment[1 + 2 * segment[0] :][:3] if progressive else (0, 63, 0)
    if last > 63:
        return False
    for at in range(1, 1 + 2 * segment[0], 2):
        if segment[at] not in known:
            return False
        known[segment[at]][first : last + 1] = [bits & 15] * (last + 1 - first)
    return True
