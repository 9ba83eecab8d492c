"""HEIC and AVIF to pixels, a part of their rows at a time, RGB. Runs in processes of its own alone.

No NumPy: that would be most of what such a process takes (decoder_process.py).
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any, NamedTuple

from PIL import AvifImagePlugin, Image

AvifImagePlugin.DEFAULT_MAX_THREADS = 1
Image.MAX_IMAGE_PIXELS = None  # whoever started us has looked at the header
Image.preinit()
_ROWS = 256  # that are converted at a time
# Bytes a pixel of libheif's modes, as Pillow names them.
_DEPTHS = {"RGB": 3, "RGBA": 4, "RGBa": 4, "L": 1, "I;16": 2}
Rows = bytes | memoryview


class Picture(NamedTuple):
    """Decoded pixels."""

    size: tuple[int, int]  # width and height
    rows: Iterator[Rows]


def heic(data: bytes) -> Picture:
    """A HEIC, turned as it says. Raises whatever libheif does."""
    import pi_heif  # noqa: PLC0415 - may not be installed

    pi_heif.options.DECODE_THREADS = 1
    photo = pi_heif.open_heif(data, convert_hdr_to_8bit=True)
    return Picture(photo.size, _heic_rows(photo))


def _heic_rows(photo: Any) -> Iterator[Rows]:
    mode, (width, height) = photo.mode, photo.size
    pixels = photo.data  # a view of memory that is the photo's, which has to live as long
    line = width * _DEPTHS[mode]
    for top in range(0, height, _ROWS):
        part = pixels[top * line : min(top + _ROWS, height) * line]
        if mode == "RGB":
            yield part
        elif mode == "I;16":  # little endian: its second byte is the higher one
            yield _rgb("L", width, bytes(part[1::2]))
        else:
            yield _rgb(mode.upper(), width, part)


def _rgb(mode: str, width: int, part: Rows) -> bytes:
    """Rows of RGB; alpha is dropped."""
    size = width, len(part) // (width * _DEPTHS[mode])
    return Image.frombytes(mode, size, bytes(part)).convert("RGB").tobytes()


def avif(data: bytes) -> Picture:
    """An AVIF as it is stored. Raises whatever Pillow does."""
    photo = Image.open(io.BytesIO(data), formats=("AVIF",))
    photo.load()
    width, height = photo.size
    parts = (
        photo.crop((0, top, width, min(top + _ROWS, height))) for top in range(0, height, _ROWS)
    )
    return Picture(photo.size, (part.convert("RGB").tobytes() for part in parts))
