"""Choose the faces to enrol from the output of `aurum bulk run`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path, PurePath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyarrow import dataset

from aurum.members.errors import MembersError
from aurum.members.schema import COLUMNS, VECTOR, Model, check_member, vectors_of

ADVISED_QUALITY = 0.9
"""The least quality of an enrolled face, 0 to 1 (docs/design/quality.md#a-least-quality)."""
BULK_VERSION = 1
READ = {
    "id": pa.string(),
    "face": pa.int32(),
    "quality": pa.float32(),
    "gate": pa.string(),
    "embedding": VECTOR,
    "embedder": pa.string(),
}
ROWS = 10_000  # read at a time: 20 MB


@dataclass
class Enrolment:
    """The output of a bulk run, and what became of its faces once `batches` was read to the end.

    `further`: faces that are not the largest of their photo; `gated`: not recognizable; `poor`:
    below the least quality.
    """

    folder: Path
    model: Model
    min_quality: float = ADVISED_QUALITY
    by_folder: bool = False
    enrolled: int = field(default=0, init=False)
    further: int = field(default=0, init=False)
    gated: int = field(default=0, init=False)
    poor: int = field(default=0, init=False)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the largest face of each photo, if it is good enough, as rows of the table.

        A photo's id is its member, or, `by_folder`, the folder in the id: "ann/1.jpg" is ann's.
        Raises MembersError for a row that can't be enrolled, or a file that can't be read.
        """
        try:
            yield from self._batches()
        except pa.ArrowException as error:
            reason = str(error).partition("\n")[0]
            raise MembersError(f"{self.folder / 'faces'}: {reason}") from None

    def _batches(self) -> Iterator[pa.RecordBatch]:
        files = dataset.dataset(self.folder / "faces", format="parquet")
        self._check_columns(files.schema)
        now = pa.scalar(datetime.now(UTC), pa.timestamp("ms", "UTC"))
        for batch in files.to_batches(columns=list(READ), batch_size=ROWS, batch_readahead=2):
            chosen = self._chosen(batch)
            if not chosen.num_rows:
                continue
            photos = chosen["id"].to_pylist()
            columns = [
                pa.array([self._member(photo) for photo in photos], pa.string()),
                chosen["id"],
                chosen["quality"],
                pa.repeat(now, chosen.num_rows),
                chosen["embedding"],
            ]
            self.enrolled += chosen.num_rows
            yield pa.RecordBatch.from_arrays(columns, schema=pa.schema(COLUMNS))

    def _check_columns(self, schema: pa.Schema) -> None:
        for name, kind in READ.items():
            index = schema.get_field_index(name)
            if index < 0 or schema.field(index).type != kind:
                there = "missing" if index < 0 else schema.field(index).type
                raise MembersError(f"{self.folder}: the column {name} is {there}, not {kind}")

    def _chosen(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        for embedder in pc.unique(batch["embedder"]).to_pylist():
            self.model.check(embedder, f"{self.folder}: a row")
        for name in ("id", "embedding", "quality"):
            if batch[name].null_count:
                raise MembersError(f"{self.folder}: the column {name} has rows without a value")
        lengths = np.linalg.norm(vectors_of(batch), axis=1)
        if not (abs(lengths - 1) < 1e-3).all():
            raise MembersError(f"{self.folder}: has embeddings whose length is not 1")
        batch, left = _split(batch, pc.equal(batch["face"], 0))
        self.further += left
        batch, left = _split(batch, pc.is_null(batch["gate"]))
        self.gated += left
        batch, left = _split(
            batch, pc.greater_equal(batch["quality"], pa.scalar(self.min_quality, pa.float32()))
        )
        self.poor += left
        return batch

    def _member(self, photo: str) -> str:
        name = str(PurePath(photo).parent) if self.by_folder else photo
        if name == ".":
            raise MembersError(f"{photo}: is in no folder that could be its member's")
        check_member(name)
        return name


def read(
    folder: Path, min_quality: float = ADVISED_QUALITY, *, by_folder: bool = False
) -> Enrolment:
    """Open the output of a bulk run.

    Raises MembersError if there is none, or if this version can't read it.
    """
    path = folder / "bulk.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MembersError(
            f"{folder}: has no bulk.json, so `aurum bulk run` didn't write it"
        ) from None
    except (OSError, ValueError) as error:
        raise MembersError(f"{path}: {error}") from None
    version = record.get("version") if isinstance(record, dict) else None
    if version != BULK_VERSION:
        raise MembersError(f"{path}: has version {version}; this Aurum reads {BULK_VERSION}")
    if not any((folder / "faces").glob("*.parquet")):
        raise MembersError(f"{folder}: no faces were found in its photos (faces/*.parquet)")
    return Enrolment(folder, Model.parse(record, str(path)), min_quality, by_folder)


def _split(batch: pa.RecordBatch, keep: Any) -> tuple[pa.RecordBatch, int]:
    """Return the rows to keep, and the number of the others."""
    kept = batch.filter(keep)
    return kept, batch.num_rows - kept.num_rows
