"""An encoded photo to upright RGB pixels, refusing what can't be trusted before decoding it."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from aurum.imaging.decoding import apart, jpeg, memory
from aurum.imaging.decoding.clock import Clock
from aurum.imaging.decoding.header import Header, read
from aurum.imaging.decoding.limits import Limits
from aurum.imaging.decoding.memory import RGB
from aurum.imaging.decoding.refusal import ACCEPTED, InvalidImageError, damaged
from aurum.imaging.decoding.text import unwrapped

cv2.setLogLevel(0)
Image.MAX_IMAGE_PIXELS = None  # our own limit applies, with its own message

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

    data: bytes  # the file, without what a decoder should not read
    header: Header
    clock: Clock  # of the thread that accepted it, which has to decode it, too
    memory: int  # bytes that decoding may take at a time
    finest: int  # the least of FACTORS whose pixels fit into them

    @property
    def kind(self) -> str:
        """The format: JPEG, PNG, WEBP, HEIC or AVIF."""
        return self.header.kind

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the full photo, upright."""
        width, height = self.header.stored
        return (height, width) if self.header.orientation > 4 else (width, height)

    @property
    def room(self) -> int:
        """Bytes that this photo may take at a time, with its file and pixels of two sizes."""
        coarse = RGB * self.header.pixels // (2 * self.finest) ** 2 if self.header.frame else 0
        return len(self.data) + self.header.memory(self.finest) + coarse

    def decode(self, factor: int = 1) -> Photo:
        """The pixels; of a JPEG at 1 / `factor` of its size, one of FACTORS, rounded up.

        A JPEG whose pixels would take more than `memory` comes smaller, at 1 / `finest`. What can't
        be decoded so (all but JPEG) comes in full, with a factor of 1. The whole file is read and
        checked at any factor.

        Raises InvalidImageError: corrupt or truncated; no processor time left for it.
        """
        header = self.header
        self.clock.check(header.seconds)
        if header.frame is not None:
            pixels, factor = self._jpeg(header.frame, max(factor, self.finest))
        elif header.kind in ("HEIC", "AVIF"):
            pixels = self._heif()
        else:
            pixels = _opencv(self.data)
        if pixels is None:
            raise damaged(header.kind)
        if pixels.shape[1::-1] == header.stored:
            factor = 1
        turn = _UPRIGHT.get(header.orientation)
        if turn is not None:
            pixels = turn(pixels)
        x, y = (
            (full - side * factor) * (header.orientation in last)
            for full, side, last in zip(self.size, pixels.shape[1::-1], _STORED_LAST, strict=True)
        )
        return Photo(pixels, factor, (x, y))

    def _heif(self) -> NDArray[np.uint8]:
        header = self.header
        expected = memory.of_heif_process(header.kind, header.samples, header.pixels)
        left = self.memory - RGB * header.pixels
        # Half as much again for alpha, and no more: a header that promises little gets little.
        most = min(expected * 3 // 2, left)
        return apart.decode(header.kind, self.data, header.stored, most, self.clock.left)

    def _jpeg(self, frame: jpeg.Frame, factor: int) -> tuple[NDArray[np.uint8] | None, int]:
        """Pixels at 1 / `factor`, or smaller where only Pillow can read them and needs more."""
        pixels, wrong = _turbojpeg(self.data, frame, factor)
        # Only the end marker is missing: libjpeg says so before it looks whether more is.
        if "premature end of jpeg file" in wrong and jpeg.may_lack_its_end_alone(self.data):
            self.clock.check(self.header.seconds)
            pixels, wrong = _turbojpeg(self.data + jpeg.END, frame, factor)
        # Cheap cameras leave stray bytes between segments; the picture is whole all the same.
        stray = "extraneous bytes before marker" in wrong
        if pixels is not None or (not stray and ("corrupt" in wrong or "premature" in wrong)):
            return pixels, factor
        self.clock.check(self.header.seconds)
        for smaller in FACTORS[FACTORS.index(factor) :: -1]:
            if memory.of_jpeg(frame, smaller, turned=False, pillow=True) <= self.memory:
                return _pillow(self.data, frame, smaller), smaller
        raise _too_much_memory(self.header, self.memory)


def decode(data: bytes, max_bytes: int, max_pixels: int) -> NDArray[np.uint8]:
    """Decode a photo in full, whatever memory that takes: uint8 RGB [height, width, 3], upright.

    Other arguments and errors are those of `accept` and `Encoded.decode`.
    """
    endless = 1 << 62
    limits = Limits(max_bytes, max_bytes, max_pixels, max_pixels, endless, endless, heic=True)
    return accept(data, limits).decode().pixels


def accept(data: bytes, limits: Limits) -> Encoded:
    """Read a photo's header, and refuse what must not be decoded.

    Gray, palette, CMYK, alpha (dropped, not blended) and 10- to 16-bit photos (to 8) will become
    RGB, and upright.

    Args:
        data: the encoded file (JPEG, PNG, WebP, HEIC or AVIF), as it is, as base64 or as a base64
            data URL.
        limits: what it may have and take.

    Raises:
        InvalidImageError: empty, too large, not an image, another format, animated, or corrupt or
            truncated in a way that shows before decoding.
    """
    if not data:
        raise InvalidImageError("empty", f"the image is empty (0 bytes); {ACCEPTED}")
    clock = Clock(limits.seconds)
    data = unwrapped(data, limits)
    if len(data) > limits.bytes:
        raise InvalidImageError(
            "too_many_bytes",
            f"the image has {len(data)} bytes; at most {limits.bytes} are allowed "
            "(AURUM_MAX_IMAGE_BYTES)",
        )
    header, data = read(data, limits)
    clock.check(header.seconds)
    for finest in reversed(FACTORS if header.frame else (1,)):
        if header.memory(finest) <= limits.memory:
            return Encoded(data, header, clock, limits.memory, finest)
    raise _too_much_memory(header, limits.memory)


def _too_much_memory(header: Header, allowed: int) -> InvalidImageError:
    width, height = header.stored
    smallest = f", even at 1/{FACTORS[0]} of its size" if header.frame else ""
    return InvalidImageError(
        "too_much_memory",
        f"the {header.kind} image of {width}x{height} pixels takes "
        f"{header.memory(FACTORS[0])} bytes of memory to be decoded{smallest}; at most {allowed} "
        "are allowed (AURUM_MAX_PHOTO_MEMORY)",
    )


def _turbojpeg(data: bytes, frame: jpeg.Frame, factor: int) -> tuple[NDArray[np.uint8] | None, str]:
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


def _pillow(data: bytes, frame: jpeg.Frame, factor: int) -> NDArray[np.uint8] | None:
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


def _opencv(data: bytes) -> NDArray[np.uint8] | None:
    flags = cv2.IMREAD_COLOR_RGB | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        photo = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None
    return photo  # type: ignore[return-value]
