"""How large a photo may be."""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """What a photo may have and take; each but `heic` is a setting of nearly that name."""

    bytes: int  # of the file
    base64_bytes: int  # of a file that comes as base64
    pixels: int  # width x height, as the header states them
    jpeg_pixels: int  # the same of a JPEG, which can be decoded smaller
    memory: int  # bytes at a time for decoding
    seconds: float  # of processor time
    heic: bool  # whether HEIC is accepted at all
