"""What a photo's file says of itself, and whether that is allowed; nothing is decoded."""

from __future__ import annotations

import io
from typing import NamedTuple

from PIL import ExifTags, Image, UnidentifiedImageError

from aurum.imaging.decoding import apart, formats, heif, jpeg, memory, png
from aurum.imaging.decoding.limits import Limits
from aurum.imaging.decoding.refusal import ACCEPTED, InvalidImageError, damaged

# Our own limit applies, with its own message; Pillow only reads headers here.
Image.MAX_IMAGE_PIXELS = None


class Header(NamedTuple):
    """The header of an accepted photo."""

    kind: str  # JPEG, PNG, WEBP, HEIC or AVIF
    stored: tuple[int, int]  # width and height as the decoder gives them
    orientation: int  # EXIF's, 1..8, that is left to apply
    frame: jpeg.Frame | None = None  # of a JPEG
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


def read(data: bytes, limits: Limits) -> Header:
    """Read the header of a file in any accepted format.

    Raises InvalidImageError: not an image, another format, too many pixels, animated, or corrupt or
    truncated in a way that shows.
    """
    kind = formats.accepted(data)
    if kind == "HEIF":
        return _heif(data, limits)
    if kind == "JPEG":
        return _jpeg(data, limits)
    if kind in ("PNG", "WEBP"):
        return _pillow(kind, data, limits)
    name = formats.refused(data)
    if name is None:
        raise InvalidImageError("not_an_image", f"the bytes are not an image; {ACCEPTED}")
    raise InvalidImageError("other_format", f"{name} images are not supported; {ACCEPTED}")


def _heif(data: bytes, limits: Limits) -> Header:
    found = heif.header(data)
    if found.kind == "HEIC" and not (limits.heic and apart.decodes_heic()):
        why = "the package pi-heif is not installed" if limits.heic else "AURUM_HEIC=0"
        raise InvalidImageError("other_format", f"HEIC images are not accepted here ({why})")
    _check_pixels(found.stored, limits.pixels, "AURUM_MAX_IMAGE_PIXELS")
    # libheif crops and turns by itself, Pillow does not. Their EXIF only says what was done.
    if found.kind == "HEIC":
        return Header("HEIC", found.size, 1, samples=found.samples)
    return Header("AVIF", found.stored, found.orientation, samples=found.samples)


def _jpeg(data: bytes, limits: Limits) -> Header:
    frame = jpeg.frame(data)
    if frame is not None and frame.precision in (12, 16):
        raise InvalidImageError(
            "other_format", f"{frame.precision}-bit JPEG images are not supported; {ACCEPTED}"
        )
    header = _opened("JPEG", data)
    if frame is None or header.size != frame.size:
        raise damaged("JPEG")
    _check_pixels(frame.size, limits.jpeg_pixels, "AURUM_MAX_JPEG_PIXELS")
    if jpeg.too_many_scans(data):
        raise damaged("JPEG")
    # A phone's JPEG may hold further pictures (MPO); its first is the photo, so it isn't animated.
    return Header("JPEG", frame.size, _orientation(header.info.get("exif")), frame)


def _pillow(kind: str, data: bytes, limits: Limits) -> Header:
    header = _opened(kind, data)
    _check_pixels(header.size, limits.pixels, "AURUM_MAX_IMAGE_PIXELS")
    if getattr(header, "is_animated", False):
        raise InvalidImageError(
            "animated",
            f"the image is an animated {kind} of {header.n_frames} frames; "  # type: ignore[attr-defined]
            "send the one frame that is meant",
        )
    # Pillow reads a PNG's EXIF only where it comes before the pixels.
    exif = png.exif(data) if kind == "PNG" else header.info.get("exif")
    if kind == "PNG" and exif is None:
        raise damaged(kind)
    return Header(kind, header.size, _orientation(exif))


def _check_pixels(size: tuple[int, int], most: int, setting: str) -> None:
    width, height = size
    if width * height > most:
        raise InvalidImageError(
            "too_many_pixels",
            f"the image has {width}x{height} = {width * height} pixels; at most {most} are "
            f"allowed ({setting})",
        )


def _opened(kind: str, data: bytes) -> Image.Image:
    try:
        return Image.open(io.BytesIO(data), formats=(kind,))
    except UnidentifiedImageError:
        raise damaged(kind) from None
    except Exception as error:  # damage surfaces as many of Pillow's exception classes
        what = f"the {kind} image is corrupt or truncated ({error})"
        raise InvalidImageError("damaged", f"{what}; {ACCEPTED}") from None


def _orientation(raw: bytes | None) -> int:
    """1..8; anything unreadable is upright, as browsers have it."""
    if not raw:
        return 1
    exif = Image.Exif()
    try:
        exif.load(raw)
        orientation = int(exif.get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF raises many things, and never makes a photo unusable
        return 1
    return orientation if 1 <= orientation <= 8 else 1
