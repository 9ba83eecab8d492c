"""What a photo's file says of itself, and whether that is allowed; nothing is decoded."""

from __future__ import annotations

import math
from typing import NamedTuple

from aurum.imaging.decoding import apart, exif, formats, heif, jpeg, memory, png, webp
from aurum.imaging.decoding.limits import Limits
from aurum.imaging.decoding.refusal import ACCEPTED, InvalidImageError, damaged

# A pass over a block in which no bit is coded: 25 ns were measured at most (libjpeg-turbo 3.1).
_BLOCK_SECONDS = 25e-9
# A pixel at worst: a PNG of RGBA with 16 bits and the slowest filter, a lossless WebP. The header
# of a HEIC or AVIF doesn't bind what is coded in it.
_PIXEL_SECONDS = {"PNG": 40e-9, "WEBP": 15e-9, "HEIC": math.inf, "AVIF": math.inf}


class Header(NamedTuple):
    """The header of an accepted photo."""

    kind: str  # JPEG, PNG, WEBP, HEIC or AVIF
    stored: tuple[int, int]  # width and height as the decoder gives them
    orientation: int  # EXIF's, 1..8, that is left to apply
    frame: jpeg.Frame | None = None  # of a JPEG
    scans: int = 0  # of a JPEG, at most
    samples: float = 0.0  # of a HEIC or AVIF: bytes of a decoded pixel, before it becomes RGB

    @property
    def pixels(self) -> int:
        """Width x height."""
        return self.stored[0] * self.stored[1]

    def memory(self, factor: int) -> int:
        """Bytes that decoding takes at a time; of a JPEG at 1 / `factor` of its size."""
        if self.frame is not None:
            return memory.of_jpeg(self.frame, factor, turned=self.orientation > 1)
        if self.kind in ("HEIC", "AVIF"):
            return memory.of_heif(self.kind, self.samples, self.pixels)
        return memory.of_other(self.kind, self.pixels)

    @property
    def seconds(self) -> float:
        """Processor time that decoding may take; endless where the header doesn't tell.

        Of a JPEG that of passes over the pixels in which nothing need be coded; what is coded costs
        by the bytes of its file.
        """
        if self.frame:
            return self.frame.blocks * self.scans * _BLOCK_SECONDS
        return self.pixels * _PIXEL_SECONDS[self.kind]


def read(data: bytes, limits: Limits) -> tuple[Header, bytes]:
    """Read the header of a file in any accepted format; with what of it a decoder should get.

    That is the picture alone, where a decoder would read, unpack or keep what lies beside it.

    Raises InvalidImageError: not an image, another format, too many pixels, animated, or corrupt or
    truncated in a way that shows.
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
    if found.kind == "HEIC" and not (limits.heic and apart.heic_available()):
        why = "the package pi-heif is not installed" if limits.heic else "AURUM_HEIC=0"
        raise InvalidImageError("other_format", f"HEIC images are not accepted here ({why})")
    _check_pixels(found.stored, limits.pixels, "AURUM_MAX_IMAGE_PIXELS")
    # libheif crops and turns by itself, Pillow does not. Their EXIF only says what was done.
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
    # A phone's JPEG may hold further pictures (MPO); its first is the photo, so it isn't animated.
    header = Header("JPEG", frame.size, exif.orientation(found.exif), frame, scans)
    return header, found.picture


def _png_or_webp(kind: str, data: bytes, limits: Limits) -> tuple[Header, bytes]:
    if kind == "PNG":  # a file too large is one, also where its end is missing
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
