"""A JPEG's frame and scans (ITU-T T.81), read without decoding."""

from __future__ import annotations

import re
from typing import NamedTuple

# Progressive JPEGs have about ten.
MAX_SCANS = 100
# Before the first scan; some dozen are usual. Each costs a step of Python, for four bytes.
MAX_SEGMENTS = 10_000
# A JPEG marker that starts a segment, or ends the picture: not fill, stuffing or a restart.
_MARKER = re.compile(rb"\xff+([^\x00\x01\xd0-\xd8\xff])")
END = b"\xff\xd9"
_END, _SCAN = END[1], 0xDA
# Start of frame: baseline to arithmetic, without the tables that lie between (DHT, JPG, DAC).
_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_PROGRESSIVE = {0xC2, 0xCA}
_HUFFMAN = {0xC0, 0xC1, 0xC2}
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
    def coefficients(self) -> int:
        """Bytes of all coefficients, where a decoder has to keep them until it has all scans."""
        if self.marker not in _PROGRESSIVE and self.interleaved:
            return 0
        across = max(x for _, x, _ in self.sampling)
        down = max(y for _, _, y in self.sampling)
        width, height = self.size
        units = -(-width // (_BLOCK * across)) * -(-height // (_BLOCK * down))
        return units * sum(x * y for _, x, y in self.sampling) * _BLOCK_BYTES


def frame(data: bytes) -> Frame | None:
    """The frame and the first scan of a JPEG.

    None where they can't be read, or come after more than MAX_SEGMENTS.
    """
    found, at = None, 2
    for _ in range(MAX_SEGMENTS):
        marker = _MARKER.search(data, at)
        if marker is None:
            return None
        at = marker.end()
        code, length = marker[1][0], int.from_bytes(data[at : at + 2], "big")
        segment = data[at + 2 : at + length]
        if code in _FRAMES and found is None:
            found = _frame(code, segment)
            if found is None:
                return None
        elif code == _SCAN:
            if found is None or not segment:
                return None
            return found._replace(interleaved=segment[0] >= len(found.sampling))
        elif code == _END:
            return None
        at += length
    return None


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


def too_many_scans(data: bytes) -> bool:
    """More scans than any encoder writes: each costs a pass over all pixels, for some 40 bytes."""
    if data.count(b"\xff\xda") <= MAX_SCANS:
        return False
    # Some may lie in a segment's payload or behind the photo, so now count those that are scans.
    scans, at = 0, 2
    while marker := _MARKER.search(data, at):
        if marker[1][0] == _END:
            return False
        scans += marker[1][0] == _SCAN
        if scans > MAX_SCANS:
            return True
        at = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")
    return False


def may_lack_its_end_alone(data: bytes) -> bool:
    """Whether a JPEG has no end marker, and yet each coefficient to its last bit.

    The bits of the last scan are not looked at: a decoder that is given an end marker tells whether
    some are missing, of Huffman codes. Arithmetic codes may lack their last bytes, so those need
    their end.
    """
    head = frame(data)
    if head is None or head.marker not in _HUFFMAN:
        return False
    # For each component the lowest bit that is known of its coefficients; none yet.
    known: dict[int, list[int | None]] = {part: [None] * 64 for part, _, _ in head.sampling}
    at = 2
    while marker := _MARKER.search(data, at):
        at = marker.end()
        if marker[1][0] == _END:
            return False
        length = int.from_bytes(data[at : at + 2], "big")
        if at + length > len(data):
            return False
        if marker[1][0] == _SCAN and not _add_scan(
            known, data[at + 2 : at + length], progressive=head.marker in _PROGRESSIVE
        ):
            return False
        at += length
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
