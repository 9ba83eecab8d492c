"""Estimates of the peak memory that decoding a photo takes, from its header.

The estimates are bytes for the pixels in all their forms, from measurements
(docs/design/untrusted-input.md#memory). The file and fixed costs are not included.
"""

from __future__ import annotations

from aurum.imaging.decoding.jpeg import Frame

RGB = 3  # bytes per pixel
# Bytes per pixel of OpenCV's decoders: its own pixels, RGB, and libwebp's (with alpha).
_PNG, _WEBP = 6.25, 8.25
# Bytes per pixel of Pillow's own pixels and their conversion to NumPy.
_PILLOW_JPEG = 10.25
_CMYK = 4


def of_jpeg(frame: Frame, factor: int, *, turned: bool, pillow: bool = False) -> int:
    """Estimate for a JPEG at 1 / `factor` of its size, by TurboJPEG or by Pillow.

    Args:
        frame: its header.
        factor: one of FACTORS.
        turned: whether it has to be rotated or mirrored afterwards.
        pillow: whether Pillow decodes it.
    """
    width, height = frame.size
    pixels = -(-width // factor) * -(-height // factor)
    each = _PILLOW_JPEG if pillow else RGB + _CMYK * (len(frame.sampling) == 4)
    return max(frame.coefficients + int(each * pixels), 2 * RGB * pixels * turned)


def of_other(kind: str, pixels: int) -> int:
    """Estimate for a PNG or WEBP."""
    return int(pixels * (_PNG if kind == "PNG" else _WEBP))


def of_heif(kind: str, samples: float, pixels: int) -> int:
    """Estimate for a HEIC or AVIF: its child process and the resulting pixels."""
    return of_heif_process(kind, samples, pixels) + RGB * pixels


def of_heif_process(kind: str, samples: float, pixels: int) -> int:
    """Estimate for the child process of a HEIC or AVIF without alpha.

    `samples` are bytes per decoded pixel, before conversion to RGB.
    """
    # libheif converts, then rotates. Pillow gets RGB from libavif and keeps four bytes per pixel.
    each = 2 * samples + RGB if kind == "HEIC" else samples + 2 * 4
    return int((each + 0.25) * pixels)
