"""An encoded photo to upright RGB pixels, refusing what can't be trusted before decoding it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from aurum.imaging.decoding import apart, memory, pictures
from aurum.imaging.decoding.clock import Clock
from aurum.imaging.decoding.header import Header, read
from aurum.imaging.decoding.limits import Limits
from aurum.imaging.decoding.memory import RGB
from aurum.imaging.decoding.pictures import Pixels
from aurum.imaging.decoding.refusal import ACCEPTED, InvalidImageError, damaged
from aurum.imaging.decoding.text import unwrapped

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
FACTORS = pictures.FACTORS
# What may take this part of the time that its photo has left is decoded apart, where it can be
# ended: so much slower than the one on which header.py's figures were measured may a machine be.
_MARGIN = 5


class Photo(NamedTuple):
    """A decoded photo, upright; a pixel stands for `factor` x `factor` of the full photo's."""

    pixels: NDArray[np.uint8]  # RGB [height, width, 3]
    factor: int
    # Where the first pixel begins in the full photo, x and y. Below 0 where a last block, which
    # covers more than was left of the stored photo, is first in the upright one.
    start: tuple[int, int]

    def from_full(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Points [..., 2] of the full photo, in these pixels."""
        moved = points - np.array(self.start, np.float32)
        return np.asarray((moved + 0.5) / self.factor - 0.5, np.float32)

    def to_full(self, points: NDArray[np.float32]) -> NDArray[np.float32]:
        """Points [..., 2] of these pixels, in the full photo."""
        moved = (points + 0.5) * self.factor - 0.5
        return np.asarray(moved + np.array(self.start, np.float32), np.float32)

    def matrices_from_full(self, matrices: NDArray[np.float64]) -> NDArray[np.float64]:
        """Matrices [F,2,3] that map the full photo, for these pixels."""
        linear = matrices[:, :, :2]
        origin = (self.factor - 1) / 2 + np.array(self.start)
        return np.dstack([linear * self.factor, matrices[:, :, 2] + linear @ origin])

    def matrices_to_full(self, matrices: NDArray[np.float64]) -> NDArray[np.float64]:
        """Matrices [F,2,3] that map these pixels, for the full photo."""
        linear = matrices[:, :, :2] / self.factor
        origin = (1 - self.factor) / 2 - np.array(self.start)
        return np.dstack([linear, matrices[:, :, 2] + linear @ origin])


class EncodedPhoto(NamedTuple):
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
    def memory_needed(self) -> int:
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
        self.clock.check()
        decode = self._here if header.seconds * _MARGIN < self.clock.left else self._apart
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
            (full - side * factor) * (header.orientation in last)
            for full, side, last in zip(self.size, pixels.shape[1::-1], _STORED_LAST, strict=True)
        )
        return Photo(pixels, factor, (x, y))

    def _apart(self, factor: int) -> tuple[Pixels, int]:
        """The pixels and their factor, by a process that the kernel ends when its limits are."""
        header = self.header
        most = self.memory  # of a JPEG: what is not TurboJPEG's can't be told before
        if header.kind in ("HEIC", "AVIF"):
            expected = memory.of_heif_process(header.kind, header.samples, header.pixels)
            # Half as much again for alpha, and no more: a header that promises little gets little.
            most = min(expected * 3 // 2, most - RGB * header.pixels)
        elif header.frame is None:
            most = header.memory(factor)
        return apart.decode(header.kind, self.data, header.stored, factor, most, self.clock)

    def _here(self, factor: int) -> tuple[Pixels | None, int]:
        """The pixels, None of a damaged photo, and their factor."""
        header = self.header
        if header.frame is None:
            return pictures.png_or_webp(self.data), 1

        def again() -> None:
            self.clock.check(header.seconds)

        return pictures.of_jpeg(self.data, header.frame, factor, self.memory, again)


def decode(data: bytes, max_bytes: int, max_pixels: int) -> NDArray[np.uint8]:
    """Decode a photo in full, whatever memory that takes: uint8 RGB [height, width, 3], upright.

    Other arguments and errors are those of `accept` and `EncodedPhoto.decode`.
    """
    endless = 1 << 62
    limits = Limits(max_bytes, max_bytes, max_pixels, max_pixels, endless, endless, heic=True)
    return accept(data, limits).decode().pixels


def accept(data: bytes, limits: Limits) -> EncodedPhoto:
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
    # The passes over a JPEG's blocks are made whatever they hold; what else is told is the worst.
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
