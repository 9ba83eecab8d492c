"""One photo of a run."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple


class Photo(NamedTuple):
    """A photo that is read when its turn comes.

    `id`: its name in the tables. `source`: its path or address, None if the bytes came with the
    row. `image`: the encoded file's bytes, its path, or its address as text.
    """

    id: str
    source: str | None
    image: bytes | Path | str


def is_address(text: str) -> bool:
    """Whether `text` is an address of fsspec, such as s3://bucket/key, and not a path."""
    return "://" in text


def fetch(address: str) -> bytes:
    """Read the file at an address; credentials come from where its store's package takes them.

    Raises OSError, ValueError or ImportError.
    """
    import fsspec  # noqa: PLC0415 - not needed for files

    with fsspec.open(address, "rb") as file:
        data: bytes = file.read()
    return data
