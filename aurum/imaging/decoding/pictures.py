"""Decoding of JPEG, PNG and WebP with libjpeg-turbo, OpenCV and Pillow.

Pixels are uint8 RGB [height, width, 3].
"""

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
# A JPEG can be decoded at 1 / n of its size: its blocks of 8x8 become 4x4, 2x2 or 1x1 pixels, which
# skips most of the work.
FACTORS = (8, 4, 2, 1)

cv2.setLogLevel(0)
Image.MAX_IMAGE_PIXELS = None  # our own limit applies, with its own message


def png_or_webp(data: bytes) -> Pixels | None:
    """Decode a PNG or WebP as stored, without rotation; return None if it is damaged."""
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        photo = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None
    return photo  # type: ignore[return-value]


def of_jpeg(
    data: bytes, frame: jpeg.Frame, factor: int, max_memory: int, before_retry: Callable[[], object]
) -> tuple[Pixels | None, int]:
    """Decode a JPEG at 1 / `factor` of its size, or smaller if only Pillow can decode it.

    Args:
        data: the file.
        frame: its header.
        factor: one of FACTORS.
        max_memory: bytes that Pillow may take; it decodes smaller to stay within them.
        before_retry: called before each further attempt; may raise to prevent it.

    Returns:
        The pixels, None if the file is damaged; and their factor, 0 if Pillow would exceed
        `max_memory` at every factor.
    """
    pixels, problem = _turbojpeg(data, frame, factor)
    # libjpeg reports a missing end marker before it checks whether anything else is missing.
    if "premature end of jpeg file" in problem and jpeg.lacks_only_end_marker(data):
        before_retry()
        pixels, problem = _turbojpeg(data + jpeg.END, frame, factor)
    # Cheap cameras leave stray bytes between segments, although the picture is intact.
    stray = "extraneous bytes before marker" in problem
    if pixels is not None or (not stray and ("corrupt" in problem or "premature" in problem)):
        return pixels, factor
    before_retry()
    for smaller in FACTORS[FACTORS.index(factor) :: -1]:
        if memory.of_jpeg(frame, smaller, turned=False, pillow=True) <= max_memory:
            return _pillow(data, frame, smaller), smaller
    return None, 0


def _turbojpeg(data: bytes, frame: jpeg.Frame, factor: int) -> tuple[Pixels | None, str]:
    """Decode with libjpeg-turbo; return the pixels, or its warning or error in lower case.

    OpenCV would hide its warnings about damage.
    """
    least = {}
    if factor > 1:
        # TurboJPEG chooses the smallest of its sizes that is at least this, which is this one.
        width, height = frame.size
        least = {"min_width": -(-width // factor), "min_height": -(-height // factor)}
    try:
        return np.asarray(simplejpeg.decode_jpeg(data, "RGB", strict=True, **least)), ""
    except ValueError as error:
        return None, str(error).lower()


def _pillow(data: bytes, frame: jpeg.Frame, factor: int) -> Pixels | None:
    """Decode with Pillow, which supports what TurboJPEG's API doesn't, such as odd subsampling.

    Pillow skips stray bytes, and unlike OpenCV it refuses truncated files.
    """
    try:
        photo = Image.open(io.BytesIO(data), formats=("JPEG",))
        width, height = frame.size
        photo.draft(None, (max(width // factor, 1), max(height // factor, 1)))
        return np.array(photo if photo.mode == "RGB" else photo.convert("RGB"))
    except Exception:  # Pillow raises many exception classes for damage
        return None
