"""What may stand for an image, and how it becomes the bytes that go over the wire."""

from __future__ import annotations

import os
from pathlib import Path
from typing import BinaryIO, TypeAlias

from aurum_client.errors import InvalidImageError

Image: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO
"""An encoded image (JPEG, PNG, ...): a path, its bytes, or a file opened in binary mode."""


def read_image(image: Image) -> bytes:
    """Return the encoded bytes of ``image``; a file object is read from where it stands.

    Nothing is decoded here: whether the bytes are an image is for the server to say.

    Raises:
        InvalidImageError: the file cannot be read, or ``image`` is none of the above.
    """
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    if isinstance(image, str | os.PathLike):
        try:
            return Path(image).read_bytes()
        # ValueError: a path with a NUL character in it.
        except (OSError, ValueError) as error:
            raise InvalidImageError(
                f"cannot read the image {os.fspath(image)!r}: {error}"
            ) from error
    if not hasattr(image, "read"):
        raise InvalidImageError(
            f"an image is a path, bytes or a binary file, not {type(image).__name__}"
        )
    try:
        data = image.read()
    # ValueError: the file is closed; a text file may also fail to decode (its subclass).
    except (OSError, ValueError) as error:
        raise InvalidImageError(f"cannot read the image file: {error}") from error
    if not isinstance(data, bytes):
        raise InvalidImageError("the image file must be opened in binary mode")
    return data
