"""How much memory decoding a photo takes, told from its header.

Bytes at a time of the pixels in all their forms, as they were measured
(docs/design/untrusted-input.md#memory); neither the file nor what is fixed is counted.
"""

from __future__ import annotations

from aurum.imaging.decoding.jpeg import Frame

RGB = 3
# A pixel of OpenCV's decoders: its own, those in RGB, and what libwebp has beside (with alpha).
_PNG, _WEBP = 6.25, 8.25
# Pillow's own pixels and its way to NumPy.
_PILLOW_JPEG = 10.25
_CMYK = 4


def of_jpeg(frame: Frame, factor: int, *, turned: bool, pillow: bool = False) -> int:
    """A JPEG at 1 / `factor` of its size; by TurboJPEG, or by Pillow."""
    width, height = frame.size
    pixels = -(-width // factor) * -(-height // factor)
    each = _PILLOW_JPEG if pillow else RGB + _CMYK * (len(frame.sampling) == 4)
    return max(frame.coefficients + int(each * pixels), 2 * RGB * pixels * turned)


def of_other(kind: str, pixels: int) -> int:
    """A PNG or a WebP."""
    return int(pixels * (_PNG if kind == "PNG" else _WEBP))


def of_heif(kind: str, samples: float, pixels: int) -> int:
    """A HEIC or AVIF: what its process takes, and the pixels that come from it."""
    return of_heif_process(kind, samples, pixels) + RGB * pixels


def of_heif_process(kind: str, samples: float, pixels: int) -> int:
    """The process alone, without alpha; `samples`: bytes of a decoded pixel before it is RGB."""
    # libheif converts, then turns; Pillow has RGB from libavif, and keeps four bytes of each pixel.
    each = 2 * samples + RGB if kind == "HEIC" else samples + 2 * 4
    return int((each + 0.25) * pixels)
