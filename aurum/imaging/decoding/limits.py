"""The limits that a photo must respect before and while it is decoded."""

from __future__ import annotations

from typing import NamedTuple


class Limits(NamedTuple):
    """Limits for one photo, from the settings."""

    bytes: int  # size of the file
    base64_bytes: int  # size of the file if it is sent as base64
    pixels: int  # width x height, as the header states them
    jpeg_pixels: int  # the same for a JPEG, which can be decoded smaller
    memory: int  # bytes that decoding may take at a time
    seconds: float  # processor time for the whole photo
    heic: bool  # whether HEIC is accepted
