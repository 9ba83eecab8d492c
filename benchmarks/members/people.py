"""Real embeddings of people with several photos, and made-up members from them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import dataset

from aurum.contract import EMBEDDING_SIZE
from aurum.members.enrolment import read
from aurum.members.schema import COLUMNS, Model, vectors_of

SEED = 20240
# Length of the noise beside an embedding of length 1. Members made from one embedding have a mean
# cosine of 0.41 (1 / (1 + 1.2 ** 2)), as much as some pairs of one person.
NOISE = 1.2
ASKED = 0.8  # noise of a query beside its member: a mean cosine of 0.78
ROWS = 10_000  # written at a time


class People(NamedTuple):
    """The largest face of each photo: who it is [N], embedding float32 [N,512], and the model."""

    names: NDArray[np.str_]
    vectors: NDArray[np.float32]
    model: Model


def real(output: Path) -> People:
    """Read all faces, whatever their quality, of a bulk run over photos `person/file.jpg`."""
    table = dataset.dataset(output / "faces", format="parquet").to_table(
        columns=["id", "embedding"], filter=dataset.field("face") == 0
    )
    batch = table.sort_by("id").combine_chunks().to_batches()[0]
    names = np.array([photo.split("/")[0] for photo in batch["id"].to_pylist()])
    return People(names, vectors_of(batch), read(output).model)


def noisy(vectors: NDArray[np.float32], noise: float, seed: int) -> NDArray[np.float32]:
    """Add random vectors of about the length `noise`, and bring all to length 1."""
    drawn = np.random.default_rng(seed).standard_normal(vectors.shape, np.float32)
    mixed = vectors + drawn * np.float32(noise / EMBEDDING_SIZE**0.5)
    return np.asarray(mixed / np.linalg.norm(mixed, axis=1, keepdims=True), np.float32)


def made_up(people: NDArray[np.float32] | None, size: int, start: int) -> NDArray[np.float32]:
    """Return members `start` to `start` + ROWS, at most `size`: real ones plus noise, or noise."""
    count = min(ROWS, size - start)
    if people is None:
        return noisy(np.zeros((count, EMBEDDING_SIZE), np.float32), 1, SEED + start)
    chosen = np.random.default_rng(SEED + start).integers(len(people), size=count)
    return noisy(people[chosen], NOISE, SEED + start)


def batches(people: NDArray[np.float32] | None, size: int) -> Iterator[pa.RecordBatch]:
    """Yield the made-up members as rows of a table."""
    now = pa.scalar(0, pa.timestamp("ms", "UTC"))
    for start in range(0, size, ROWS):
        vectors = made_up(people, size, start)
        names = pa.array([f"m{start + row}" for row in range(len(vectors))])
        columns = [
            names,
            names,
            pa.nulls(len(vectors), pa.float32()),
            pa.repeat(now, len(vectors)),
            pa.FixedSizeListArray.from_arrays(pa.array(vectors.ravel()), EMBEDDING_SIZE),
        ]
        yield pa.RecordBatch.from_arrays(columns, schema=pa.schema(COLUMNS))
