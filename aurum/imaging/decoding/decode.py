"""Decoding of photos to upright RGB pixels, with decompression-bomb guards before decoding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from aurum.imaging.decoding import isolated, memory, pictures
from aurum.imaging.decoding.clock import Clock
from aurum.imaging.decoding.header import Header, read
from aurum.imaging.decoding.limits import Limits
from aurum.imaging.decoding.memory import RGB
from aurum.imaging.decoding.pictures import Pixels
from aurum.imaging.decoding.refusal import ACCEPTED, InvalidImageError, damaged
from aurum.imaging.decoding.text import unwrap

# EXIF orientation -> the operation that makes the photo upright (EXIF 2.32, tag 0x0112).
_UPRIGHT: dict[int, Callable[[Any], Any]] = {
    2: lambda photo: cv2.flip(photo, 1),
    3: lambda photo: cv2.rotate(photo, cv2.ROTATE_180),
    4: lambda photo: cv2.flip(photo, 0),
    5: cv2.transpose,
    6: lambda photo: cv2.rotate(photo, cv2.ROTATE_90_CLOCKWISE),
    7: lambda photo: cv2.rotate(cv2.transpose(photo), cv2.ROTATE_180),
    8: lambda photo: cv2.rotate(photo, cv2.ROTATE_90_COUNTERCLOCKWISE),
}
# The orientations that flip x, and those that flip y.
_FLIPPED = ((2, 3, 6, 7), (3, 4, 7, 8))
FACTORS = pictures.FACTORS
# A photo whose expected time exceeds 1 / _MARGIN of the time left is decoded in a child process,
# which can be ended. This machine may be so many times slower than the one that header.py's figures
# were measured on.
_MARGIN = 5


class Photo(NamedTuple):
    """A decoded, upright photo; each pixel covers `factor` x `factor` pixels of the full photo."""

    pixels: NDArray[np.uint8]  # RGB [height, width, 3]
    factor: int
    # Where the first pixel begins in the full photo, x and y. Negative if the orientation moves the
    # stored photo's last block, which may extend beyond its border, to the front.
    start: tuple[int, int]

    def from_full(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Convert points [..., 2] from the full photo's pixels to this one's."""
        moved = points - np.array(self.start, np.float32)
        return np.asarray((moved + 0.5) / self.factor - 0.5, np.float32)

    def to_full(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Convert points [..., 2] from this photo's pixels to the full one's."""
        moved = (points + 0.5) * self.factor - 0.5
        return np.asarray(moved + np.array(self.start, np.float32), np.float32)

    def matrices_from_full(self, matrices: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert matrices [F,2,3] that map the full photo to ones that map this photo."""
        linear = matrices[:, :, :2]
        origin = (self.factor - 1) / 2 + np.array(self.start)
        return np.dstack([linear * self.factor, matrices[:, :, 2] + linear @ origin])

    def matrices_to_full(self, matrices: NDArray[np.float64]) -> NDArray[np.float64]:
        """Convert matrices [F,2,3] that map this photo to ones that map the full photo."""
        linear = matrices[:, :, :2] / self.factor
        origin = (1 - self.factor) / 2 - np.array(self.start)
        return np.dstack([linear, matrices[:, :, 2] + linear @ origin])


class EncodedPhoto(NamedTuple):
    """A photo whose header was accepted; it can be decoded several times, at different sizes."""

    data: bytes  # the file, without the parts that a decoder should not read
    header: Header
    clock: Clock  # counts the thread that accepted the photo, which must also decode it
    memory: int  # bytes that decoding may take at a time
    finest: int  # the smallest of FACTORS at which decoding stays within `memory`

    @property
    def kind(self) -> str:
        """The format: JPEG, PNG, WEBP, HEIC or AVIF."""
        return self.header.kind

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the full upright photo, pixels."""
        width, height = self.header.stored
        return (height, width) if self.header.orientation > 4 else (width, height)

    @property
    def memory_needed(self) -> int:
        """Peak memory in bytes: the file, decoding, and the pixels at a second, coarser size."""
        coarse = RGB * self.header.pixels // (2 * self.finest) ** 2 if self.header.frame else 0
        return len(self.data) + self.header.memory(self.finest) + coarse

    def decode(self, factor: int = 1) -> Photo:
        """Decode the photo; a JPEG at 1 / `factor` of its size (one of FACTORS), rounded up.

        A JPEG that would exceed `memory` is decoded smaller, at 1 / `finest`. Other formats are
        always decoded in full, with a factor of 1. At any factor the whole file is read and
        checked.

        Raises:
            InvalidImageError: the file is corrupt or truncated, or exceeds a limit.
        """
        header = self.header
        self.clock.check()
        decode = self._in_process if header.seconds * _MARGIN < self.clock.left else self._in_child
        pixels, factor = decode(max(factor, self.finest) if header.frame else 1)
        if not factor:
            raise _too_much_memory(header, self.memory)
        if pixels is None:
            raise damaged(header.kind)
        if pixels.shape[1::-1] == header.stored:
            factor = 1
        turn = _UPRIGHT.get(header.orientation)
        if turn is not None:
            pixels = turn(pixels)
        x, y = (
            (full - side * factor) * (header.orientation in flipped)
            for full, side, flipped in zip(self.size, pixels.shape[1::-1], _FLIPPED, strict=True)
        )
        return Photo(pixels, factor, (x, y))

    def _in_child(self, factor: int) -> tuple[Pixels, int]:
        """Decode in a child process with limits; return the pixels and their factor."""
        header = self.header
        most = self.memory  # for a JPEG, because Pillow's need isn't known in advance
        if header.kind in ("HEIC", "AVIF"):
            expected = memory.of_heif_process(header.kind, header.samples, header.pixels)
            # Half as much again for alpha, but no more: a header that states little gets little.
            most = min(expected * 3 // 2, most - RGB * header.pixels)
        elif header.frame is None:
            most = header.memory(factor)
        return isolated.decode(header.kind, self.data, header.stored, factor, most, self.clock)

    def _in_process(self, factor: int) -> tuple[Pixels | None, int]:
        """Decode in this process; return the pixels (None if damaged) and their factor."""
        header = self.header
        if header.frame is None:
            return pictures.png_or_webp(self.data), 1

        def check_time() -> None:
            self.clock.check(header.seconds)

        return pictures.of_jpeg(self.data, header.frame, factor, self.memory, check_time)


def decode(data: bytes, max_bytes: int, max_pixels: int) -> NDArray[np.uint8]:
    """Decode a photo in full, without limits on memory and time.

    Args:
        data: the encoded file, in binary or base64, as for `accept`.
        max_bytes: the largest accepted file.
        max_pixels: the largest accepted width x height.

    Returns:
        uint8 RGB [height, width, 3], upright.

    Raises:
        InvalidImageError: as `accept` and `EncodedPhoto.decode` do.
    """
    endless = 1 << 62
    limits = Limits(max_bytes, max_bytes, max_pixels, max_pixels, endless, endless, heic=True)
    return accept(data, limits).decode().pixels


def accept(data: bytes, limits: Limits) -> EncodedPhoto:
    """Read a photo's header, and refuse the photo if it must not be decoded.

    Gray, palette and CMYK photos will be converted to RGB, alpha will be dropped (not blended), 10-
    to 16-bit samples will be reduced to 8 bits, and the photo will be made upright.

    Args:
        data: the encoded file (JPEG, PNG, WebP, HEIC or AVIF), in binary, as base64 or as a base64
            data URL.
        limits: the limits on its size, memory and time.

    Raises:
        InvalidImageError: the file is empty, too large, not an image, of another format, animated,
            or visibly corrupt or truncated before decoding.
    """
    if not data:
        raise InvalidImageError("empty", f"the image is empty (0 bytes); {ACCEPTED}")
    clock = Clock(limits.seconds)
    data = unwrap(data, limits)
    if len(data) > limits.bytes:
        raise InvalidImageError(
            "too_many_bytes",
            f"the image has {len(data)} bytes; at most {limits.bytes} are allowed "
            "(AURUM_MAX_IMAGE_BYTES)",
        )
    header, data = read(data, limits)
    # A JPEG's passes over its blocks always take this time; other formats' time is a worst case.
    clock.check(header.seconds if header.frame else 0)
    for finest in reversed(FACTORS if header.frame else (1,)):
        if header.memory(finest) <= limits.memory:
            return EncodedPhoto(data, header, clock, limits.memory, finest)
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
