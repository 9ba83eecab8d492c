"""Reading a photo's header, and checking it against the limits, without decoding."""

from __future__ import annotations

import math
from typing import NamedTuple

from aurum.imaging.decoding import exif, formats, heif, isolated, jpeg, memory, png, webp
from aurum.imaging.decoding.limits import Limits
from aurum.imaging.decoding.refusal import ACCEPTED, InvalidImageError, damaged

# One pass over one JPEG block without coded bits: at most 25 ns, as measured (libjpeg-turbo 3.1).
_BLOCK_SECONDS = 25e-9
# The worst case per pixel: 16-bit RGBA with the slowest filter for PNG, lossless for WebP. The
# header of a HEIC or AVIF says nothing reliable about its coded pictures.
_PIXEL_SECONDS = {"PNG": 40e-9, "WEBP": 15e-9, "HEIC": math.inf, "AVIF": math.inf}


class Header(NamedTuple):
    """The header of an accepted photo."""

    kind: str  # JPEG, PNG, WEBP, HEIC or AVIF
    stored: tuple[int, int]  # width and height as the decoder returns them, pixels
    orientation: int  # EXIF orientation, 1..8, that the decoder doesn't apply
    frame: jpeg.Frame | None = None  # of a JPEG
    scans: int = 0  # of a JPEG: upper limit of their number
    samples: float = 0.0  # of a HEIC or AVIF: bytes per decoded pixel, before conversion to RGB

    @property
    def pixels(self) -> int:
        """Width x height."""
        return self.stored[0] * self.stored[1]

    def memory(self, factor: int) -> int:
        """Estimate the peak memory of decoding in bytes; of a JPEG at 1 / `factor` of its size."""
        if self.frame is not None:
            return memory.of_jpeg(self.frame, factor, turned=self.orientation > 1)
        if self.kind in ("HEIC", "AVIF"):
            return memory.of_heif(self.kind, self.samples, self.pixels)
        return memory.of_other(self.kind, self.pixels)

    @property
    def seconds(self) -> float:
        """Processor time that decoding may take; infinite if the header doesn't limit it.

        For a JPEG this is the time of all passes over its blocks, which take time even if they
        contain no coded bits; the time for coded bits is limited by the file's size.
        """
        if self.frame:
            return self.frame.blocks * self.scans * _BLOCK_SECONDS
        return self.pixels * _PIXEL_SECONDS[self.kind]


def read(data: bytes, limits: Limits) -> tuple[Header, bytes]:
    """Read the header of a file in any accepted format.

    Returns:
        The header, and the part of the file that a decoder should read. Metadata that a decoder
        would read, unpack or keep is removed.

    Raises:
        InvalidImageError: the file is not an image, of another format, animated, visibly corrupt
            or truncated, or has too many pixels.
    """
    kind = formats.accepted(data)
    if kind == "HEIF":
        return _heif(data, limits)
    if kind == "JPEG":
        return _jpeg(data, limits)
    if kind in ("PNG", "WEBP"):
        return _png_or_webp(kind, data, limits)
    name = formats.refused(data)
    if name is None:
        raise InvalidImageError("not_an_image", f"the bytes are not an image; {ACCEPTED}")
    raise InvalidImageError("other_format", f"{name} images are not supported; {ACCEPTED}")


def _heif(data: bytes, limits: Limits) -> tuple[Header, bytes]:
    found = heif.header(data)
    if found.kind == "HEIC" and not (limits.heic and isolated.heic_available()):
        why = "the package pi-heif is not installed" if limits.heic else "AURUM_HEIC=0"
        raise InvalidImageError("other_format", f"HEIC images are not accepted here ({why})")
    _check_pixels(found.stored, limits.pixels, "AURUM_MAX_IMAGE_PIXELS")
    # libheif crops and rotates, Pillow doesn't. EXIF in these files repeats what the header says.
    if found.kind == "HEIC":
        return Header("HEIC", found.size, 1, samples=found.samples), data
    return Header("AVIF", found.stored, found.orientation, samples=found.samples), data


def _jpeg(data: bytes, limits: Limits) -> tuple[Header, bytes]:
    found = jpeg.read(data)
    if found is None:
        raise damaged("JPEG")
    frame = found.frame
    if frame.precision in (12, 16):
        raise InvalidImageError(
            "other_format", f"{frame.precision}-bit JPEG images are not supported; {ACCEPTED}"
        )
    _check_pixels(frame.size, limits.jpeg_pixels, "AURUM_MAX_JPEG_PIXELS")
    scans = jpeg.scans(found.picture)
    if not all(frame.size) or scans > jpeg.MAX_SCANS:
        raise damaged("JPEG")
    # A phone's JPEG may contain more pictures (MPO); the first is the photo, so it isn't animated.
    header = Header("JPEG", frame.size, exif.orientation(found.exif), frame, scans)
    return header, found.picture


def _png_or_webp(kind: str, data: bytes, limits: Limits) -> tuple[Header, bytes]:
    if kind == "PNG":  # report a size beyond the limit even if the file is truncated
        _check_pixels(png.size(data), limits.pixels, "AURUM_MAX_IMAGE_PIXELS")
    found = png.read(data) if kind == "PNG" else webp.read(data)
    if found is None or not all(found.size):
        raise damaged(kind)
    _check_pixels(found.size, limits.pixels, "AURUM_MAX_IMAGE_PIXELS")
    if found.frames > 1:
        raise InvalidImageError(
            "animated",
            f"the image is an animated {kind} of {found.frames} frames; "
            "send the one frame that is meant",
        )
    return Header(kind, found.size, exif.orientation(found.exif)), found.picture


def _check_pixels(size: tuple[int, int], most: int, setting: str) -> None:
    width, height = size
    if width * height > most:
        raise InvalidImageError(
            "too_many_pixels",
            f"the image has {width}x{height} = {width * height} pixels; at most {most} are "
            f"allowed ({setting})",
        )
