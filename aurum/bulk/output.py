"""A run's folder: what it holds, and parts that are there whole or not at all.

Each part is three files of one name. That in `photos/` is written last: without it, a part of a
killed run does not count, and the shard's next run removes it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from aurum import files
from aurum.bulk import BulkError, tables
from aurum.bulk.shards import Shard, key
from aurum.bulk.tables import Result

VERSION = 1
MANIFEST = "bulk.json"
PHOTOS = "photos"  # the last to be written
WRITERS: dict[str, Callable[[Sequence[Result]], pa.Table]] = {
    "faces": tables.faces,
    "failures": tables.failures,
    PHOTOS: tables.photos,
}


@dataclass(frozen=True)
class Manifest:
    """What all rows of a folder have in common. `calibration`: as on the wire, when it began."""

    detector: str
    embedder: str
    calibration: list[float] | None
    shards: int
    options: dict[str, Any]
    version: int = VERSION

    def check(self, folder: Path, wanted: Manifest) -> None:
        """Raise BulkError if a run with `wanted` would mix answers that can't be compared."""
        for name in ("detector", "embedder", "options", "shards"):
            mine, other = getattr(self, name), getattr(wanted, name)
            if mine != other:
                raise BulkError(
                    f"{folder} was begun with {name} {_shown(mine)}, this run has {_shown(other)}: "
                    "give it another folder"
                )


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def read_manifest(folder: Path) -> Manifest:
    """Read what a folder holds. Raises BulkError if it is no output of a run."""
    try:
        found = json.loads((folder / MANIFEST).read_text("utf-8"))
        if found["version"] != VERSION:
            raise BulkError(f"{folder}: version {found['version']} is not {VERSION}, which I read")
        return Manifest(**found)
    except FileNotFoundError:
        raise BulkError(f"{folder} is no output of `aurum bulk run`: no {MANIFEST}") from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise BulkError(f"{folder / MANIFEST} can't be read: {error}") from error


def parts(folder: Path, table: str) -> list[Path]:
    """Return the finished parts of a table, also if a run is writing more."""
    return [
        path
        for path in sorted((folder / table).glob("[!.]*.parquet"))
        if table == PHOTOS or (folder / PHOTOS / path.name).exists()
    ]


def read(path: Path, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Yield the rows of a part, some thousand at a time. Raises BulkError if it is damaged."""
    try:
        with parquet.ParquetFile(path) as file:
            yield from file.iter_batches(8192, columns=columns)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise BulkError(f"{path} can't be read: {error}") from error


class Output:
    """Writes a shard's parts."""

    def __init__(self, folder: Path, shard: Shard) -> None:
        self._folder, self._shard = folder, shard
        self._next = 0

    @contextmanager
    def opened(self, manifest: Manifest) -> Iterator[None]:
        """Keep other runs of the shard out; remove what a killed run left.

        Raises:
            BulkError: another run writes this shard, or the folder has other models or options.
        """
        with _errors(self._folder):
            for table in WRITERS:
                (self._folder / table).mkdir(parents=True, exist_ok=True)
            self._begin(manifest)
            lock = self._folder / f".{self._shard}.lock"
        try:
            with files.locked(lock, wait=False):
                with _errors(self._folder):
                    self._clean()
                yield
        except BlockingIOError:
            raise BulkError(f"another run writes shard {self._shard} of {self._folder}") from None

    def done(self) -> set[bytes]:
        """Return the keys of the shard's photos that are done."""
        return {
            key(name)
            for path in parts(self._folder, PHOTOS)
            if path.name.startswith(f"{self._shard}-")
            for batch in read(path, ["id"])
            for name in batch[0].to_pylist()
        }

    def write(self, results: Sequence[Result]) -> None:
        """Write one part. Raises BulkError, and writes nothing that counts then."""
        name = f"{self._shard}-{self._next:06d}.parquet"
        with _errors(self._folder):
            for table, rows in WRITERS.items():
                files.write(self._folder / table / name, _parquet(rows(results)))
        self._next += 1

    def _begin(self, manifest: Manifest) -> None:
        path = self._folder / MANIFEST
        new = path.with_name(f".{MANIFEST}.{self._shard}.{os.getpid()}")
        files.write(new, json.dumps(asdict(manifest), indent=1).encode())
        try:
            os.link(new, path)  # fails if another shard was first, unlike a rename
        except FileExistsError:
            read_manifest(self._folder).check(self._folder, manifest)
        finally:
            new.unlink()

    def _clean(self) -> None:
        """Remove parts that don't count, and files that were being written."""
        mine = f"{self._shard}-"
        finished = {path.name for path in parts(self._folder, PHOTOS)}
        for table in WRITERS:
            for path in (self._folder / table).iterdir():
                begun = path.name.startswith(f".{mine}")
                lost = path.name.startswith(mine) and path.name not in finished
                if begun or lost:
                    path.unlink()
        numbers = [
            int(Path(name).stem.split("-")[-1]) for name in finished if name.startswith(mine)
        ]
        self._next = max(numbers, default=-1) + 1


def _parquet(rows: pa.Table) -> pa.Buffer:
    text = [field.name for field in rows.schema if field.type == pa.string()]
    sink = pa.BufferOutputStream()
    # Of numbers that are all different, a dictionary would be a second copy.
    parquet.write_table(rows, sink, compression="zstd", use_dictionary=text)
    return sink.getvalue()


@contextmanager
def _errors(folder: Path) -> Iterator[None]:
    """Turn errors of the disk into one line."""
    try:
        yield
    except OSError as error:
        raise BulkError(f"{folder} can't be written: {error.strerror or error}") from error
