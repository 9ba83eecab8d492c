"""What a table stores of a face, and which model its embeddings are of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from aurum_client import FARS, Calibration
from numpy.typing import NDArray

from aurum.contract import EMBEDDING_SIZE
from aurum.members.errors import ArgumentError, MembersError, OtherModelError

VERSION = 1
MEMBER_LENGTH = 1000  # characters; a longer id is a mistake
KEY = b"aurum"  # of the schema's metadata
VECTOR = pa.list_(pa.float32(), EMBEDDING_SIZE)
COLUMNS = (
    pa.field("member", pa.string(), nullable=False),
    pa.field("photo", pa.string(), nullable=False),  # its name; the photo itself is not stored
    pa.field("quality", pa.float32()),  # 0..1
    pa.field("added", pa.timestamp("ms", "UTC"), nullable=False),
    pa.field("embedding", VECTOR, nullable=False),  # of length 1
)


@dataclass(frozen=True)
class Model:
    """The models that all embeddings of a table come from, as `name@12hex`."""

    detector: str
    embedder: str
    calibration: Calibration | None

    @classmethod
    def parse(cls, record: Mapping[str, object], where: str) -> Model:
        """Read the keys detector, embedder and calibration (six numbers or null) of a JSON object.

        Raises MembersError, which starts with `where`.
        """
        try:
            detector, embedder = record["detector"], record["embedder"]
            row = record["calibration"]
            if not isinstance(detector, str) or not isinstance(embedder, str):
                raise TypeError("detector and embedder must be strings")
            if row is not None and not isinstance(row, list):
                raise TypeError("calibration must be null or six numbers")
            calibration = Calibration.from_row([float(x) for x in row]) if row else None
        except (KeyError, TypeError, ValueError) as error:
            raise MembersError(f"{where}: {error!s} (not written by this version?)") from None
        return cls(detector, embedder, calibration)

    def record(self) -> dict[str, object]:
        """Return what `parse` reads."""
        known = self.calibration
        row = known and [
            *(known.thresholds[far] for far in FARS),
            *(known.slope, known.intercept, known.prior),
        ]
        return {"detector": self.detector, "embedder": self.embedder, "calibration": row}

    def schema(self) -> pa.Schema:
        """Return the schema of a table for this model's embeddings."""
        record = {"version": VERSION, **self.record()}
        return pa.schema(COLUMNS, metadata={KEY: json.dumps(record)})

    def check(self, embedder: str | None, what: str) -> None:
        """Raise OtherModelError unless `what` was embedded by the table's embedder."""
        if embedder != self.embedder:
            raise OtherModelError(
                f"{what} was embedded by {embedder}, but the table's faces by {self.embedder}: "
                "embed all photos again (`aurum bulk run`) and build a new table"
            )


def model_of(schema: pa.Schema, where: str) -> Model:
    """Return the model of an existing table. Raises MembersError if the table is not ours."""
    try:
        record = json.loads((schema.metadata or {})[KEY])
    except (KeyError, ValueError):
        raise MembersError(
            f"{where}: its table was not made by `aurum faces`, or by an older version"
        ) from None
    if record.get("version") != VERSION:
        raise MembersError(
            f"{where}: its table has version {record.get('version')}; this Aurum reads {VERSION}"
        )
    return Model.parse(record, where)


def check_member(member: str) -> None:
    """Raise ArgumentError unless a member's id is printable text of a sensible length."""
    if not member or len(member) > MEMBER_LENGTH or not member.isprintable():
        raise ArgumentError(
            f"the id {member[:40]!r} of a member must be 1 to {MEMBER_LENGTH} printable characters"
        )


def vectors_of(batch: pa.RecordBatch) -> NDArray[np.float32]:
    """Return the embeddings of some rows, float32 [n,512]."""
    flat: NDArray[np.float32] = batch["embedding"].flatten().to_numpy()
    return flat.reshape(batch.num_rows, EMBEDDING_SIZE)
