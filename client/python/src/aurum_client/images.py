"""Image arguments and how they are read."""

from __future__ import annotations

import base64
import binascii
import errno
import os
import re
import struct
import sys
from typing import Any, BinaryIO, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from aurum_client._png import rgb_png
from aurum_client._text import cut, shown
from aurum_client.errors import InvalidImageError

MAX_BYTES = 250_000_000  # of a file; ten times the service's default limit
MAX_PIXELS = 100_000_000  # of an array; twice the service's default limit

_ADDRESS = re.compile(r"\s*([a-z][a-z0-9+.-]+)://", re.IGNORECASE)
_DATA_URL = re.compile(r"\s*data:([^,]{0,1000}),", re.IGNORECASE)
# How base64 of JPEG, PNG, GIF, WebP and of HEIC and AVIF begins: FF D8 FF, 89 "PNG\r\n", "GIF8",
# "RIFF", and 00 00 00 xx "ftyp".
_BASE64 = re.compile(r"\s*(/9j/|_9j_|iVBORw0K|R0lGOD|UklGR|AAAA[A-Za-z0-9+/_-]{2}Z0eX)")
_SHORTEST = 64  # characters; no shorter base64 is an image, but a path might look like it


class PilImage(Protocol):
    """What a PIL image has; this package doesn't need PIL."""

    @property
    def mode(self) -> str:
        """The kind of its pixels, such as RGB."""
        ...

    def tobytes(self) -> bytes:
        """Return its pixels."""
        ...


Image: TypeAlias = (
    str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO | npt.NDArray[Any] | PilImage
)
"""An image, in one of these forms:

- an encoded file (JPEG, PNG, ...): a path, its bytes, a file opened in binary mode, a data URL,
  base64, or the one-dimensional uint8 array of ``cv2.imencode``. Colour order, rotation and size
  are those of the file.
- pixels: a numpy array, uint8 [H, W, 3] in the order R, G, B (``cv2.imread`` has B, G, R: pass
  ``photo[..., ::-1]``), or a PIL image, which is rotated by its EXIF orientation, if it has one.
  They are sent as PNG, without loss. Passing the file instead is faster, and smaller for a JPEG.

A string that begins with ``data:`` is a data URL; one of at least 64 characters that begins like
base64 of a JPEG, PNG, GIF, WebP, HEIC or AVIF, and has none but base64's characters, is base64; one
that begins with ``http://`` or another scheme is refused; every other string is a path. So don't
pass strings that strangers chose: they could name any file. Decode them, and pass bytes.
"""


def read_image(image: Image) -> bytes:
    """Return the encoded bytes of ``image``; a file is read from its current position.

    Nothing is decoded or checked here: the server decides whether the bytes are an image.

    Raises:
        InvalidImageError: the file or text cannot be read, ``image`` is an array of another dtype
            or shape, or is of another type.
    """
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    if isinstance(image, str):
        return _from_text(image)
    if isinstance(image, os.PathLike):
        return _from_path(os.fspath(image))
    if isinstance(image, np.ndarray):
        return _from_array(image)
    pil = sys.modules.get("PIL.Image")  # without it, nothing is a PIL image
    if pil is not None and isinstance(image, pil.Image):
        return _from_pil(image)
    read = getattr(image, "read", None)
    if read is None:
        raise InvalidImageError(
            "an image must be a path, bytes, a binary file, an array, a PIL image, base64 or a "
            f"data URL, not {type(image).__name__}"
        )
    try:
        data = read()
    # ValueError: the file is closed, or a text file failed to decode (a subclass).
    except (OSError, ValueError) as error:
        raise InvalidImageError(f"cannot read the image file: {_reason(error)}") from error
    if not isinstance(data, bytes):
        raise InvalidImageError(
            "the image file must be opened in binary mode: reading it gave "
            f"{type(data).__name__}, not bytes"
        )
    return data


def _from_text(text: str) -> bytes:
    if address := _ADDRESS.match(text):
        scheme = address[1].lower()
        raise InvalidImageError(
            f"{scheme} addresses are not fetched: pass the image's bytes or a path, "
            f"not {shown(text)}"
        )
    if data_url := _DATA_URL.match(text):
        if not data_url[1].lower().rstrip().endswith(";base64"):
            raise InvalidImageError(f"the data URL is not base64: {shown(text)}")
        return _decoded(text[data_url.end() :], "the data URL")
    if len(text) >= _SHORTEST and _BASE64.match(text):
        packed = "".join(text.split())
        if re.fullmatch(r"[A-Za-z0-9+/_-]+={0,2}", packed):
            return _decoded(packed, "the base64 text")
    return _from_path(text)


def _decoded(text: str, what: str) -> bytes:
    packed = "".join(text.split()).rstrip("=").translate(str.maketrans("-_", "+/"))
    try:
        return base64.b64decode(packed + "=" * (-len(packed) % 4), validate=True)
    except (binascii.Error, ValueError) as error:  # ValueError: not ASCII
        raise InvalidImageError(f"{what} is damaged: {error}") from error


def _from_path(path: str | bytes) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    # ValueError: the path contains a NUL character, or cannot be encoded.
    except (OSError, ValueError) as error:
        if isinstance(error, OSError):
            error.filename = cut(os.fsdecode(path))  # a traceback shows it
        raise InvalidImageError(f"cannot read the image {shown(path)}: {_reason(error)}") from error
    if len(data) > MAX_BYTES:
        raise InvalidImageError(f"{shown(path)} has more than {MAX_BYTES} bytes: not a photo")
    return data


def _reason(error: Exception) -> str:
    # str() of an OSError has the whole path.
    text = cut((isinstance(error, OSError) and error.strerror) or str(error))
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        text += "; as base64, it is damaged or of no image"
    return text


def _from_array(array: npt.NDArray[Any]) -> bytes:
    encoded = array.ndim == 1 or (array.ndim == 2 and array.shape[1] == 1)  # cv2 before 4.5.4
    pixels = array.ndim == 3 and array.shape[2] == 3
    if array.dtype != np.uint8 or not array.size or not (encoded or pixels):
        raise InvalidImageError(
            "an array must be uint8 of shape (height, width, 3) with the channels R, G, B, or the "
            f"one-dimensional array of cv2.imencode, not {array.dtype} of shape {array.shape}"
        )
    if encoded:
        return array.tobytes()
    height, width, _ = array.shape
    if height * width > MAX_PIXELS:
        raise InvalidImageError(
            f"an array may have {MAX_PIXELS} pixels at most, not {width}x{height}"
        )
    return rgb_png(array)


def _from_pil(image: Any) -> bytes:
    from PIL import ImageOps  # noqa: PLC0415 - it is installed: this is one of its images

    if image.mode == "F" or image.mode.startswith("I"):
        raise InvalidImageError(
            f"a PIL image must have 8 bits per channel, not the mode {image.mode}: convert it"
        )
    try:
        upright = ImageOps.exif_transpose(image)
        return _from_array(np.asarray(upright.convert("RGB")))
    # What PIL raises for damaged files, which it reads only now, and for closed ones.
    except (OSError, EOFError, ValueError, SyntaxError, struct.error) as error:
        raise InvalidImageError(f"cannot read the PIL image: {_reason(error)}") from error
