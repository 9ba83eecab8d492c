"""Files made to cost much: small ones that would make a decoder work or reserve without end."""

from __future__ import annotations

import re

# Progressive JPEGs have about ten.
MAX_SCANS = 100
# A JPEG marker that starts a segment, or ends the picture: not fill, stuffing or a restart.
_MARKER = re.compile(rb"\xff+([^\x00\x01\xd0-\xd8\xff])")


def too_many_scans(data: bytes) -> bool:
    """More scans than any encoder writes: each costs a pass over all pixels, for some 40 bytes."""
    if data.count(b"\xff\xda") <= MAX_SCANS:
        return False
    # Some may lie in a segment's payload or behind the photo, so now count those that are scans.
    scans, at = 0, 2
    while marker := _MARKER.search(data, at):
        if marker[1] == b"\xd9":  # the photo's end
            return False
        scans += marker[1] == b"\xda"
        if scans > MAX_SCANS:
            return True
        at = marker.end() + int.from_bytes(data[marker.end() : marker.end() + 2], "big")
    return False


def chunks_fit(data: bytes) -> bool:
    """Whether every PNG chunk ends within the file: OpenCV reserves what a length says."""
    at = 8
    while data[at + 4 : at + 8] != b"IEND":
        at += 12 + int.from_bytes(data[at : at + 4], "big")
        if at + 12 > len(data):
            return False
    return True
