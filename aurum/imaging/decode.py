"""An encoded photo to upright RGB pixels, refusing what can't be trusted before decoding it."""

from __future__ import annotations

import base64
import binascii
import io
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import ExifTags, Image, UnidentifiedImageError

from aurum.imaging import hostile

# Our own limit applies, with its own message; Pillow only reads headers here.
Image.MAX_IMAGE_PIXELS = None
cv2.setLogLevel(0)
warnings.filterwarnings("ignore", module=r"PIL\.")  # damaged EXIF is no news, and no reason

ACCEPTED = "accepted are JPEG, PNG and WebP photos, as they are or as base64"
# How base64 of a JPEG, PNG or WebP file begins, and of a data URL: JSON can't carry raw bytes.
_BASE64 = (b"/9j/", b"iVBORw0KGgo", b"UklGR", b"data:image/")
# Only to name what somebody sent by mistake: (offset, magic bytes, name).
_REFUSED = (
    (0, b"GIF8", "GIF"),
    (0, b"BM", "BMP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"%PDF", "PDF"),
    (4, b"ftypavif", "AVIF"),
    (4, b"ftyphei", "HEIC"),
    (4, b"ftypmif1", "HEIC"),
    (0, b"\xff\x0a", "JPEG XL"),
    (0, b"<svg", "SVG"),
)
# EXIF orientation -> what makes the photo upright (EXIF 2.32, tag 0x0112).
_UPRIGHT: dict[int, Callable[[Any], Any]] = {
    2: lambda photo: cv2.flip(photo, 1),
    3: lambda photo: cv2.rotate(photo, cv2.ROTATE_180),
    4: lambda photo: cv2.flip(photo, 0),
    5: cv2.transpose,
    6: lambda photo: cv2.rotate(photo, cv2.ROTATE_90_CLOCKWISE),
    7: lambda photo: cv2.rotate(cv2.transpose(photo), cv2.ROTATE_180),
    8: lambda photo: cv2.rotate(photo, cv2.ROTATE_90_COUNTERCLOCKWISE),
}
# The orientations whose upright left side, and upright top, is stored right or below.
_STORED_LAST = ((2, 3, 6, 7), (3, 4, 7, 8))
# JPEG's blocks of 8x8 can be decoded to 4x4, 2x2 and 1x1 pixels, which skips most of the work.
FACTORS = (8, 4, 2, 1)


# Why a photo is refused, for those who count.
REASONS = (
    "empty",
    "too_many_bytes",
    "too_many_pixels",
    "not_an_image",
    "other_format",
    "animated",
    "damaged",
    "bad_base64",
)


class InvalidImageError(ValueError):
    """The bytes are no accepted photo; the message says what is wrong and what is allowed.

    ``reason`` is one of REASONS.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class Photo(NamedTuple):
    """A decoded photo, upright; a pixel stands for `factor` x `factor` of the full photo's."""

    pixels: NDArray[np.uint8]  # RGB [height, width, 3]
    factor: int
    # Where the first pixel begins in the full photo, x and y. Below 0 where a last block, which
    # covers more than was left of the stored photo, is first in the upright one.
    start: tuple[int, int]

    def here(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Points [..., 2] of the full photo, in these pixels."""
        moved = points - np.array(self.start, np.float32)
        return np.asarray((moved + 0.5) / self.factor - 0.5, np.float32)

    def there(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Points [..., 2] of these pixels, in the full photo."""
        moved = (points + 0.5) * self.factor - 0.5
        return np.asarray(moved + np.array(self.start, np.float32), np.float32)

    def boxes_here(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Boxes [F,4] of the full photo, in these pixels."""
        return np.concatenate([self.here(boxes[:, :2]), boxes[:, 2:] / self.factor], axis=1)

    def boxes_there(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Boxes [F,4] of these pixels, in the full photo."""
        return np.concatenate([self.there(boxes[:, :2]), boxes[:, 2:] * self.factor], axis=1)


class Encoded(NamedTuple):
    """A photo that was accepted by its header, to be decoded as often as needed."""

    data: bytes  # the file
    kind: str  # JPEG, PNG or WEBP
    stored: tuple[int, int]  # width and height in the file
    orientation: int  # EXIF's, 1..8

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the full photo, upright."""
        return self.stored[::-1] if self.orientation > 4 else self.stored

    def decode(self, factor: int = 1) -> Photo:
        """The pixels; of a JPEG at 1 / `factor` of its size, one of FACTORS, rounded up.

        What can't be decoded so (PNG, WebP, a JPEG that TurboJPEG doesn't cover) comes in full,
        with a factor of 1. The whole file is read and checked at any factor.

        Raises InvalidImageError: corrupt or truncated.
        """
        if self.kind == "JPEG":
            pixels = _decode_jpeg(self.data, self.stored, factor)
        else:
            pixels = _decode_other(self.data)
        if pixels is None:
            raise _damaged(self.kind)
        if pixels.shape[1::-1] == self.stored:
            factor = 1
        turn = _UPRIGHT.get(self.orientation)
        if turn is not None:
            pixels = turn(pixels)
        x, y = (
            (full - side * factor) * (self.orientation in last)
            for full, side, last in zip(self.size, pixels.shape[1::-1], _STORED_LAST, strict=True)
        )
        return Photo(pixels, factor, (x, y))


def decode(data: bytes, max_bytes: int, max_pixels: int) -> NDArray[np.uint8]:
    """Decode a JPEG, PNG or WebP photo in full: uint8 RGB [height, width, 3], upright.

    Arguments and errors are those of `accept` and `Encoded.decode`.
    """
    return accept(data, max_bytes, max_pixels).decode().pixels


def accept(data: bytes, max_bytes: int, max_pixels: int) -> Encoded:
    """Read a JPEG's, PNG's or WebP's header, and refuse what must not be decoded.

    Gray, palette, CMYK, alpha (dropped, not blended) and 16-bit (to 8) photos will become RGB, and
    upright (the EXIF orientation applied).

    Args:
        data: the encoded file, as it is, as base64 or as a base64 data URL.
        max_bytes: the most bytes that the file may have.
        max_pixels: the most pixels (width x height) that its header may state.

    Raises:
        InvalidImageError: empty, too large, not an image, another format, animated, or corrupt or
            truncated in a way that shows before decoding.
    """
    if not data:
        raise InvalidImageError("empty", f"the image is empty (0 bytes); {ACCEPTED}")
    if data.startswith(_BASE64):
        data = _from_base64(data, max_bytes)
    if len(data) > max_bytes:
        raise InvalidImageError(
            "too_many_bytes",
            f"the image has {len(data)} bytes; at most {max_bytes} are allowed "
            "(AURUM_MAX_IMAGE_BYTES)",
        )
    header = _header(data)
    width, height = header.size
    if width * height > max_pixels:
        raise InvalidImageError(
            "too_many_pixels",
            f"the image has {width}x{height} = {width * height} pixels; at most {max_pixels} are "
            "allowed (AURUM_MAX_IMAGE_PIXELS)",
        )
    kind = "JPEG" if header.format == "MPO" else str(header.format)
    # A phone's JPEG may hold further pictures (MPO); its first is the photo, so it isn't animated.
    if kind != "JPEG" and getattr(header, "is_animated", False):
        raise InvalidImageError(
            "animated",
            f"the image is an animated {kind} of {header.n_frames} frames; "  # type: ignore[attr-defined]
            "send the one frame that is meant",
        )
    if (kind == "JPEG" and hostile.too_many_scans(data)) or (
        kind == "PNG" and not hostile.chunks_fit(data)
    ):
        raise _damaged(kind)
    return Encoded(data, kind, (width, height), _orientation(header))


def _damaged(kind: str) -> InvalidImageError:
    return InvalidImageError(
        "damaged", f"the {kind} image is corrupt or truncated and can't be decoded"
    )


def _from_base64(text: bytes, max_bytes: int) -> bytes:
    if text.startswith(b"data:"):
        head, _, text = text.partition(b",")
        if not head.endswith(b";base64"):
            raise InvalidImageError("bad_base64", f"the data URL is not base64; {ACCEPTED}")
    # Three bytes are four characters; not to decode at length what is refused afterwards.
    if len(text) // 4 * 3 > max_bytes + 3:
        raise InvalidImageError(
            "too_many_bytes",
            f"the image has about {len(text) // 4 * 3} bytes; at most {max_bytes} are allowed "
            "(AURUM_MAX_IMAGE_BYTES)",
        )
    try:
        return base64.b64decode(text.strip(), validate=True)
    except binascii.Error as error:
        raise InvalidImageError(
            "bad_base64", f"the image is damaged base64 ({error}); {ACCEPTED}"
        ) from None


def _header(data: bytes) -> Image.Image:
    """The header alone: nothing is decoded, however many pixels it promises."""
    try:
        return Image.open(io.BytesIO(data), formats=("JPEG", "PNG", "WEBP"))
    except UnidentifiedImageError:
        for offset, magic, name in _REFUSED:
            if data[offset : offset + len(magic)] == magic:
                raise InvalidImageError(
                    "other_format", f"{name} images are not supported; {ACCEPTED}"
                ) from None
        raise InvalidImageError("not_an_image", f"the bytes are not an image; {ACCEPTED}") from None
    except Exception as error:  # damage surfaces as many of Pillow's exception classes
        what = f"the image is corrupt or truncated ({error})"
        raise InvalidImageError("damaged", f"{what}; {ACCEPTED}") from None


def _decode_jpeg(data: bytes, stored: tuple[int, int], factor: int) -> NDArray[np.uint8] | None:
    """libjpeg-turbo through simplejpeg, because it reports damage that OpenCV papers over."""
    least = {}
    if factor > 1:
        # The smallest of TurboJPEG's sizes that is no smaller: exactly this one.
        least = {"min_width": -(-stored[0] // factor), "min_height": -(-stored[1] // factor)}
    try:
        return np.asarray(simplejpeg.decode_jpeg(data, "RGB", strict=True, **least))
    except ValueError as error:
        text = str(error).lower()
        # Cheap cameras leave stray bytes between segments; the picture is whole all the same.
        stray = "extraneous bytes before marker" in text
        if not stray and ("corrupt" in text or "premature" in text):
            return None
    # Also what TurboJPEG's API doesn't cover, such as odd subsampling. Pillow passes over stray
    # bytes, and unlike OpenCV it still refuses a file that ends too early.
    try:
        return np.array(Image.open(io.BytesIO(data), formats=("JPEG",)).convert("RGB"))
    except Exception:  # whatever Pillow raises, the picture can't be had
        return None


def _decode_other(data: bytes) -> NDArray[np.uint8] | None:
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        photo = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None
    return photo  # type: ignore[return-value]


def _orientation(header: Image.Image) -> int:
    """1..8; anything unreadable is upright, as browsers have it."""
    raw = header.info.get("exif")
    if not raw:
        return 1
    exif = Image.Exif()
    try:
        exif.load(raw)
        orientation = int(exif.get(ExifTags.Base.Orientation, 1))
    except Exception:  # damaged EXIF raises many things, and never makes a photo unusable
        return 1
    return orientation if orientation in _UPRIGHT else 1
