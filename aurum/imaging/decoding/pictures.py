"""JPEG, PNG and WebP to pixels, by the libraries that read them: uint8 RGB [height, width, 3]."""

from __future__ import annotations

import io
from collections.abc import Callable

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from aurum.imaging.decoding import jpeg, memory

Pixels = NDArray[np.uint8]
# JPEG's blocks of 8x8 can be decoded to 4x4, 2x2 and 1x1 pixels, which skips most of the work.
FACTORS = (8, 4, 2, 1)

cv2.setLogLevel(0)
Image.MAX_IMAGE_PIXELS = None  # our own limit applies, with its own message


def png_or_webp(data: bytes) -> Pixels | None:
    """All pixels as they are stored; None of a damaged file."""
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        photo = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None
    return photo  # type: ignore[return-value]


def of_jpeg(
    data: bytes, frame: jpeg.Frame, factor: int, most: int, again: Callable[[], object]
) -> tuple[Pixels | None, int]:
    """Pixels at 1 / `factor`, or smaller where only Pillow can read them and needs more memory.

    Args:
        data: the file.
        frame: what its header says.
        factor: one of FACTORS.
        most: bytes of memory that Pillow may take.
        again: called before each further reading.

    Gives no pixels of a damaged file, and the factor 0 if Pillow needs too much at any.
    """
    pixels, wrong = _turbojpeg(data, frame, factor)
    # Only the end marker is missing: libjpeg says so before it looks whether more is.
    if "premature end of jpeg file" in wrong and jpeg.lacks_only_end_marker(data):
        again()
        pixels, wrong = _turbojpeg(data + jpeg.END, frame, factor)
    # Cheap cameras leave stray bytes between segments; the picture is whole all the same.
    stray = "extraneous bytes before marker" in wrong
    if pixels is not None or (not stray and ("corrupt" in wrong or "premature" in wrong)):
        return pixels, factor
    again()
    for smaller in FACTORS[FACTORS.index(factor) :: -1]:
        if memory.of_jpeg(frame, smaller, turned=False, pillow=True) <= most:
            return _pillow(data, frame, smaller), smaller
    return None, 0


def _turbojpeg(data: bytes, frame: jpeg.Frame, factor: int) -> tuple[Pixels | None, str]:
    """libjpeg-turbo's pixels, or what it says is wrong, which OpenCV would paper over."""
    least = {}
    if factor > 1:
        # The smallest of TurboJPEG's sizes that is no smaller: exactly this one.
        width, height = frame.size
        least = {"min_width": -(-width // factor), "min_height": -(-height // factor)}
    try:
        return np.asarray(simplejpeg.decode_jpeg(data, "RGB", strict=True, **least)), ""
    except ValueError as error:
        return None, str(error).lower()


def _pillow(data: bytes, frame: jpeg.Frame, factor: int) -> Pixels | None:
    """Also what TurboJPEG's API doesn't cover, such as odd subsampling.

    Pillow passes over stray bytes, and unlike OpenCV it still refuses a file that ends too early.
    """
    try:
        photo = Image.open(io.BytesIO(data), formats=("JPEG",))
        width, height = frame.size
        photo.draft(None, (max(width // factor, 1), max(height // factor, 1)))
        return np.array(photo if photo.mode == "RGB" else photo.convert("RGB"))
    except Exception:  # whatever Pillow raises, the picture can't be had
        return None
