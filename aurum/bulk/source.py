"""The photos of a run, one after another: those of a folder, of a list of paths, or of a table."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from aurum.batch import SUFFIXES
from aurum.bulk import UsageError
from aurum.bulk.photo import Photo, is_address
from aurum.bulk.rows import TABLES, Rows


class Source(Protocol):
    """Photos that can be listed more than once, and are never all in memory."""

    def photos(self) -> Iterator[Photo | None]:
        """Yield the photos; None for one without an id. Raises UsageError."""
        ...

    def count(self) -> int:
        """Return how many photos there are. Raises UsageError."""
        ...


def open_source(address: str, id_column: str | None, image_column: str | None) -> Source:
    """Return the photos at `address`.

    With a column's name it is a table; otherwise a folder of photos, unless it has tables in it, or
    a file of the kind that its ending says: a table, else a list of paths.

    Raises:
        UsageError: there is nothing of that kind.
    """
    path = Path(address)
    if is_address(address) or id_column or image_column:
        return Rows(address, id_column, image_column)
    if path.is_dir():
        try:
            tables = any(Path(entry.name).suffix in TABLES for entry in os.scandir(path))
        except OSError as error:
            raise UsageError(f"the source can't be read: {error}") from error
        return Rows(address, id_column, image_column) if tables else Folder(path)
    if not path.exists():
        raise UsageError(f"there is no {address}: give a folder, a list of paths or a table")
    if path.suffix in TABLES:
        return Rows(address, id_column, image_column)
    if path.suffix.lower() in SUFFIXES:
        raise UsageError(f"{address} is a photo: give a folder, a list of paths or a table")
    return Listed(path)


@dataclass(frozen=True)
class Folder:
    """The photos below a folder, except hidden ones. Their ids are their paths within it."""

    folder: Path

    def photos(self) -> Iterator[Photo]:
        """Yield them, folder by folder in the order of names."""
        for path in _walk(self.folder):
            yield Photo(_text(os.path.relpath(path, self.folder)), _text(path), Path(path))

    def count(self) -> int:
        """Count them."""
        return sum(1 for _ in _walk(self.folder))


def _walk(folder: str | Path) -> Iterator[str]:
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        for entry in entries:
            if entry.name.startswith("."):
                continue
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(entry.path)
            elif os.path.splitext(entry.name)[1].lower() in SUFFIXES and entry.is_file():
                yield entry.path
    except OSError as error:
        raise UsageError(f"the source can't be read: {error}") from error


@dataclass(frozen=True)
class Listed:
    """The paths in a text file, one a line, which are the ids, too; empty lines are skipped.

    Relative ones start at the file's folder. Addresses, such as s3://..., are read with fsspec.
    """

    file: Path

    def photos(self) -> Iterator[Photo]:
        """Yield them in the file's order."""
        for line in self._lines():
            text = _text(line)
            image = text if is_address(text) else self.file.parent / line
            yield Photo(text, text if is_address(text) else _text(str(image)), image)

    def count(self) -> int:
        """Count the lines."""
        return sum(1 for _ in self._lines())

    def _lines(self) -> Iterator[str]:
        try:
            with self.file.open("rb") as file:
                for line in file:
                    if b"\0" in line:
                        raise UsageError(f"{self.file} is no list of paths: it is not text")
                    if path := line.rstrip(b"\r\n"):
                        yield os.fsdecode(path)
        except OSError as error:
            raise UsageError(f"the source can't be read: {error}") from error


def _text(path: str) -> str:
    r"""Return a path as valid text: other bytes, which Linux allows in names, as \xff."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")
