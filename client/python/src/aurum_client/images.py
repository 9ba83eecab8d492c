"""Image arguments and how they are read."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, TypeAlias

from aurum_client.errors import InvalidImageError

Image: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO
"""An encoded image (JPEG, PNG, ...): a path, its bytes, or a file opened in binary mode.

The server decodes it: colour order, rotation and size are those of the file. Arrays of pixels are
not accepted.
"""


def read_image(image: Image) -> bytes:
    """Return the encoded bytes of ``image``; a file is read from its current position.

    Nothing is decoded or checked here: the server decides whether the bytes are an image.

    Raises:
        InvalidImageError: the file cannot be read, or ``image`` is of another type.
    """
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    if isinstance(image, str | os.PathLike):
        try:
            return Path(image).read_bytes()
        # ValueError: the path contains a NUL character.
        except (OSError, ValueError) as error:
            raise InvalidImageError(
                f"cannot read the image {os.fspath(image)!r}: {error}"
            ) from error
    if not hasattr(image, "read"):
        raise InvalidImageError(
            f"an image must be a path, bytes or a binary file, not {type(image).__name__}"
        )
    try:
        data = image.read()
    # ValueError: the file is closed, or a text file failed to decode (a subclass).
    except (OSError, ValueError) as error:
        raise InvalidImageError(f"cannot read the image file: {error}") from error
    if not isinstance(data, bytes):
        raise InvalidImageError("the image file must be opened in binary mode")
    return data
