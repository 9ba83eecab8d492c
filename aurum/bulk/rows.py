"""Photos in a table: Parquet or Arrow files with an id and either bytes or a path in each row."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
from pyarrow import dataset, parquet

from aurum.bulk import UsageError
from aurum.bulk.photo import Photo, is_address

# Formats by a file's ending.
TABLES = {".parquet": "parquet", ".arrow": "ipc", ".feather": "ipc", ".ipc": "ipc"}
ID, IMAGE = "id", "image"
BATCH = 16  # rows in memory: a photo may have megabytes
BUFFER = 1 << 20  # bytes read at a time
BROKEN = (OSError, ValueError, ImportError, KeyError, pa.ArrowException)


class Rows:
    """The rows of a file, or of all files below a folder, also in an object store.

    `image` is binary, text (a path or an address; relative paths start at the table's folder), or,
    as in Hugging Face's data sets, a struct of `bytes` and `path`, of which one may be null.
    """

    def __init__(self, address: str, id_column: str | None, image_column: str | None) -> None:
        self._id, self._image = id_column or ID, image_column or IMAGE
        path = Path(address)
        self._folder = None if is_address(address) else path if path.is_dir() else path.parent
        try:
            store, root = fsspec.core.url_to_fs(address)
            files = sorted(name for name in store.find(root) if Path(name).suffix in TABLES)
            formats = {TABLES[Path(name).suffix] for name in files}
            if len(formats) != 1:
                found = "both Parquet and Arrow" if formats else "neither Parquet nor Arrow"
                raise UsageError(f"{address} has {found} files ({', '.join(TABLES)})")
            [self._format] = formats
            self._data = dataset.dataset(
                files, format=self._format, filesystem=None if self._folder else store
            )
        except BROKEN as error:
            raise UsageError(f"{address}: {_reason(error)}") from error
        self._check()

    def _check(self) -> None:
        schema = self._data.schema
        for name, option, fits, what in (
            (self._id, "--id-column", _is_id, "text or whole numbers"),
            (self._image, "--image-column", _is_image, "bytes or paths"),
        ):
            if schema.names.count(name) != 1:
                known = ", ".join(schema.names)
                raise UsageError(f"the table has no column {name!r} ({option}); it has: {known}")
            if not fits(schema.field(name).type):
                raise UsageError(f"{option} {name}: is {schema.field(name).type}, not {what}")

    def photos(self) -> Iterator[Photo | None]:
        """Yield the rows' photos, a few rows in memory at a time."""
        columns = [self._id, self._image]
        try:
            for fragment in self._data.get_fragments():
                for batch in self._batches(fragment, columns):
                    names, images = (batch.column(name) for name in columns)
                    for name, image in zip(names, images, strict=True):
                        yield self._photo(name.as_py(), image.as_py())
        except BROKEN as error:
            raise UsageError(f"the table can't be read: {_reason(error)}") from error

    def _batches(self, fragment: Any, columns: list[str]) -> Iterator[Any]:
        if self._format != "parquet":
            yield from fragment.to_batches(columns=columns, use_threads=False)
            return
        # A scan of the data set would read whole row groups, which may be gigabytes of photos.
        with (
            fragment.open() as stream,
            parquet.ParquetFile(stream, buffer_size=BUFFER, pre_buffer=False) as file,
        ):
            yield from file.iter_batches(BATCH, columns=columns, use_threads=False)

    def count(self) -> int:
        """Count the rows, which reads only the files' ends."""
        try:
            return int(self._data.count_rows())
        except BROKEN as error:
            raise UsageError(f"the table can't be read: {_reason(error)}") from error

    def _photo(self, name: Any, image: Any) -> Photo | None:
        if name is None:
            return None
        if isinstance(image, dict):
            image = image["path"] if image.get("bytes") is None else image["bytes"]
        if not isinstance(image, str):
            return Photo(str(name), None, image or b"")
        if is_address(image) or self._folder is None:
            return Photo(str(name), image, image)
        path = self._folder / image
        return Photo(str(name), str(path), path)


def _is_id(kind: pa.DataType) -> bool:
    return bool(_is_text(kind) or pa.types.is_integer(kind))


def _is_image(kind: pa.DataType) -> bool:
    if pa.types.is_struct(kind):
        return {kind.field(i).name for i in range(kind.num_fields)} >= {"bytes", "path"}
    return _is_text(kind) or any(
        test(kind) for test in (pa.types.is_binary, pa.types.is_large_binary)
    )


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
