"""A JPEG's segments, frame and scans (ITU-T T.81), read without decoding."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from aurum.imaging.decoding.exif import PREFIX

# Progressive JPEGs have about ten.
MAX_SCANS = 100
# Some dozen are usual. Each costs a step of Python, for four bytes.
MAX_SEGMENTS = 10_000
# A JPEG marker that starts a segment, or ends the picture: not fill, stuffing or a restart.
_MARKER = re.compile(rb"\xff([^\x00\x01\xd0-\xd8\xff])")
END = b"\xff\xd9"
_END, _SCAN, _EXIF, _COMMENT = END[1], 0xDA, 0xE1, 0xFE
# Start of frame: baseline to arithmetic, without the tables that lie between (DHT, JPG, DAC).
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_PROGRESSIVE = {0xC2, 0xCA}
_HUFFMAN = {0xC0, 0xC1, 0xC2}
# Of all that applications add, decoders need what tells of the colours.
_APPLICATIONS = range(0xE0, 0xF0)
_COLOURS = {0xE0: b"JFIF\0", 0xEE: b"Adobe"}
_NEVER = b"\xff\xff"  # as no segment's payload that we keep begins
_BLOCK = 8  # pixels on each side
_BLOCK_BYTES = 128  # its 64 coefficients


class Frame(NamedTuple):
    """What a frame header and the first scan header say."""

    marker: int  # the kind of coding
    precision: int  # bits a sample
    size: tuple[int, int]  # width and height
    sampling: tuple[tuple[int, int, int], ...]  # of each component: its id, across, down
    interleaved: bool  # all components in the first scan

    @property
    def blocks(self) -> int:
        """Blocks of 8x8 samples, of all components."""
        across = max(x for _, x, _ in self.sampling)
        down = max(y for _, _, y in self.sampling)
        width, height = self.size
        units = -(-width // (_BLOCK * across)) * -(-height // (_BLOCK * down))
        return units * sum(x * y for _, x, y in self.sampling)

    @property
    def coefficients(self) -> int:
        """Bytes of all coefficients, where a decoder has to keep them until it has all scans."""
        if self.marker not in _PROGRESSIVE and self.interleaved:
            return 0
        return self.blocks * _BLOCK_BYTES


class Read(NamedTuple):
    """What a file says before its pixels, and the file without what applications added there."""

    frame: Frame
    exif: bytes
    picture: bytes


class _Segment(NamedTuple):
    code: int  # of its marker
    begin: int  # of its marker
    start: int  # of its payload
    end: int  # behind it; may lie behind the file's

    def payload(self, data: bytes) -> bytes:
        return data[self.start : self.end]


def read(data: bytes) -> Read | None:
    """None where the frame or its scan can't be read, or come after more than MAX_SEGMENTS."""
    found, exif = None, b""
    # Segments that stay go over in runs; what lies between segments stays away, too.
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
            return Read(found._replace(interleaved=interleaved), exif, picture)
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
    """How many scans there are, at most: each costs a pass over all pixels, for some 40 bytes.

    Above MAX_SCANS where there are more than MAX_SEGMENTS, too.
    """
    most = data.count(b"\xff\xda")
    if most <= MAX_SCANS:
        return most
    # Some may lie in a segment's payload or behind the photo, so now count those that are scans.
    found = 0
    for number, segment in enumerate(_segments(data)):
        if segment.code == _END:
            return found
        found += segment.code == _SCAN
        if found > MAX_SCANS or number > MAX_SEGMENTS:
            return MAX_SCANS + 1
    return found


def lacks_only_end_marker(data: bytes) -> bool:
    """Whether a JPEG has no end marker, and yet each coefficient to its last bit.

    The bits of the last scan are not looked at: a decoder that is given an end marker tells whether
    some are missing, of Huffman codes. Arithmetic codes may lack their last bytes, so those need
    their end.
    """
    head = read(data)
    if head is None or head.frame.marker not in _HUFFMAN:
        return False
    frame = head.frame
    # For each component the lowest bit that is known of its coefficients; none yet.
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
    """Note what a scan brings; False where its header makes no sense."""
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
