"""The tables that a run writes: their columns, and their rows from the client's results.

Boxes and landmarks are in pixels of the upright photo, as the client's results are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from aurum_client import Analysis, Calibration, QualityParts
from aurum_client.calibration import FARS
from numpy.typing import NDArray

from aurum.contract import EMBEDDING_SIZE

# One row a face; README of the columns: docs/guides/bulk.md.
FACES = pa.schema([
    pa.field("id", pa.string(), nullable=False),
    pa.field("face", pa.int32(), nullable=False),  # 0: the largest of its photo
    pa.field("box", pa.list_(pa.float32(), 4)),  # x, y, width, height
    pa.field("landmarks", pa.list_(pa.float32(), 10)),  # x, y of five points
    pa.field("score", pa.float32()),
    pa.field("quality", pa.float32()),
    pa.field("parts", pa.list_(pa.float32(), len(QualityParts._fields))),
    pa.field("gate", pa.string()),  # the part that makes it unfit for recognition
    pa.field("rotation", pa.int32()),
    pa.field("embedding", pa.list_(pa.float32(), EMBEDDING_SIZE)),
    pa.field("detector", pa.string()),
    pa.field("embedder", pa.string()),
    pa.field("calibration", pa.list_(pa.float32())),  # as on the wire; empty: not calibrated
])  # fmt: skip
FAILURES = pa.schema([
    pa.field("id", pa.string(), nullable=False),
    pa.field("source", pa.string()),
    pa.field("code", pa.string(), nullable=False),
    pa.field("reason", pa.string(), nullable=False),
])  # fmt: skip
# One row a photo, also without a face: what is done.
PHOTOS = pa.schema([
    pa.field("id", pa.string(), nullable=False),
    pa.field("faces", pa.int32(), nullable=False),
    pa.field("code", pa.string()),  # that of the failure
])  # fmt: skip


class Failure(NamedTuple):
    """Why a photo has no answer."""

    code: str
    reason: str


class Result(NamedTuple):
    """A photo that is done, without its bytes: thousands of them wait for a part to fill."""

    id: str
    source: str | None
    answer: Analysis | Failure

    @property
    def faces(self) -> int:
        """Number of faces."""
        return len(self.answer) if isinstance(self.answer, Analysis) else 0


def numbers(calibration: Calibration | None) -> list[float]:
    """Return a calibration as on the wire: thresholds, slope, intercept, prior; else nothing."""
    if calibration is None:
        return []
    thresholds = [calibration.thresholds[far] for far in FARS]
    return [*thresholds, calibration.slope, calibration.intercept, calibration.prior]


def faces(results: Sequence[Result]) -> pa.Table:
    """Return the rows of all faces, in the order of the results."""
    found = [(one.id, one.answer) for one in results if isinstance(one.answer, Analysis)]
    answers = [answer for _, answer in found]
    counts = [len(answer) for answer in answers]
    return pa.table(
        [
            _repeated([name for name, _ in found], counts),
            pa.array(_joined([np.arange(count, dtype=np.int32) for count in counts], np.int32)),
            _vectors([answer.boxes for answer in answers], 4),
            _vectors([answer.landmarks for answer in answers], 10),
            pa.array(_joined([answer.scores for answer in answers])),
            pa.array(_joined([answer.quality for answer in answers])),
            _vectors([answer.quality_parts for answer in answers], len(QualityParts._fields)),
            pa.array([defect for answer in answers for defect in _defects(answer)], pa.string()),
            pa.array(_joined([answer.rotations for answer in answers], np.int32)),
            _vectors([answer.embeddings for answer in answers], EMBEDDING_SIZE),
            _repeated([answer.models.detector for answer in answers], counts),
            _repeated([answer.models.embedder for answer in answers], counts),
            pa.array(
                [numbers(one.calibration) for one in answers for _ in range(len(one))],
                pa.list_(pa.float32()),
            ),
        ],
        schema=FACES,
    )


def failures(results: Iterable[Result]) -> pa.Table:
    """Return a row for each photo that failed."""
    rows = [
        (one.id, one.source, one.answer.code, one.answer.reason)
        for one in results
        if isinstance(one.answer, Failure)
    ]
    return _rows(rows, FAILURES)


def photos(results: Iterable[Result]) -> pa.Table:
    """Return a row for each photo."""
    rows = [
        (one.id, one.faces, one.answer.code if isinstance(one.answer, Failure) else None)
        for one in results
    ]
    return _rows(rows, PHOTOS)


def _rows(rows: Sequence[tuple[object, ...]], schema: pa.Schema) -> pa.Table:
    columns = [[row[place] for row in rows] for place in range(len(schema))]
    return pa.table(columns, schema=schema)


def _defects(answer: Analysis) -> Iterable[str | None]:
    return (face.defect for face in answer)


def _joined(arrays: Sequence[NDArray[np.generic]], dtype: type = np.float32) -> NDArray[np.generic]:
    return np.concatenate([np.zeros(0, dtype), *(array.ravel() for array in arrays)])


def _vectors(arrays: Sequence[NDArray[np.float32]], size: int) -> pa.Array:
    return pa.FixedSizeListArray.from_arrays(pa.array(_joined(arrays)), size)


def _repeated(values: Sequence[str | None], counts: Sequence[int]) -> pa.Array:
    repeated = (value for value, count in zip(values, counts, strict=True) for _ in range(count))
    return pa.array(repeated, pa.string())
