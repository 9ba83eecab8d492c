"""Decoding of HEIC and AVIF to RGB, some rows at a time; only for the decoder's child processes.

NumPy isn't used, because it would take most of such a process's memory (decoder_process.py).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, NamedTuple

from PIL import AvifImagePlugin, Image

AvifImagePlugin.DEFAULT_MAX_THREADS = 1
Image.MAX_IMAGE_PIXELS = None  # the step has already checked the header
Image.preinit()
_ROWS = 256  # number of rows that are converted at a time
# Bytes per pixel of libheif's modes, by Pillow's names.
_DEPTHS = {"RGB": 3, "RGBA": 4, "RGBa": 4, "L": 1, "I;16": 2}
Rows = bytes | memoryview


class Picture(NamedTuple):
    """A decoded picture."""

    size: tuple[int, int]  # width and height, pixels
    rows: Iterator[Rows]  # buffers of consecutive RGB rows, from top to bottom


def heic(data: bytes) -> Picture:
    """Decode a HEIC, rotated as it says. Raises any exception of libheif's."""
    import pi_heif  # noqa: PLC0415 - may not be installed

    pi_heif.options.DECODE_THREADS = 1
    photo = pi_heif.open_heif(data, convert_hdr_to_8bit=True)
    return Picture(photo.size, _heic_rows(photo))


def _heic_rows(photo: Any) -> Iterator[Rows]:
    mode, (width, height) = photo.mode, photo.size
    pixels = photo.data  # a view of the photo's memory, so `photo` must stay alive
    line = width * _DEPTHS[mode]
    for top in range(0, height, _ROWS):
        part = pixels[top * line : min(top + _ROWS, height) * line]
        if mode == "RGB":
            yield part
        elif mode == "I;16":  # little endian: the second byte is the high one
            yield _rgb("L", width, bytes(part[1::2]))
        else:
            yield _rgb(mode.upper(), width, part)


def _rgb(mode: str, width: int, part: Rows) -> bytes:
    """Convert rows to RGB, dropping alpha."""
    size = width, len(part) // (width * _DEPTHS[mode])
    return Image.frombytes(mode, size, bytes(part)).convert("RGB").tobytes()


def avif(data: bytes) -> Picture:
    """Decode an AVIF as stored, without rotation. Raises any exception of Pillow's."""
    photo = Image.open(io.BytesIO(data), formats=("AVIF",))
    photo.load()
    width, height = photo.size
    parts = (
        photo.crop((0, top, width, min(top + _ROWS, height))) for top in range(0, height, _ROWS)
    )
    return Picture(photo.size, (part.convert("RGB").tobytes() for part in parts))
