"""The table of enrolled faces: one row a face, several faces a member."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("LANCEDB_LOG", "error")  # read at its import: no warnings on stderr
import lancedb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from lancedb.index import IvfSq
from numpy.typing import NDArray

from aurum import files
from aurum.members import erase, search
from aurum.members.errors import ArgumentError, MembersError
from aurum.members.schema import Model, check_member, model_of, vectors_of

if TYPE_CHECKING:
    from aurum_client import Embedding

NAME = "members"  # of the table in its database
# Below, a search compares the query with every face, so that it is exact.
EXACT = 100_000  # faces
RETRIES = 3  # of a search whose files another process deletes, because it erases members


class Members:
    """A table of members' faces. `open` and `create` make it; safe to use from several threads."""

    def __init__(self, table: Any, where: str) -> None:
        self._table = table
        self._where = where
        model_of(table.schema, where)

    @property
    def model(self) -> Model:
        """The models of all faces; another process may have replaced them."""
        return model_of(self._table.schema, self._where)

    def __len__(self) -> int:
        """Return the number of faces."""
        return int(self._table.count_rows())

    def search(
        self,
        query: Embedding,
        *,
        top: int = 5,
        far: float | None = None,
        false_matches: float | None = None,
        by: str = "best",
        prior: float | None = None,
    ) -> search.Search:
        """Rank the members by their similarity to a face, and decide which of them it may be.

        Args:
            query: the face, from the table's embedder.
            top: how many members to return, 1 to 1000.
            far: false accept rate of a comparison, above 0; default 1e-4.
            false_matches: instead of `far`, how many strangers a search may match on average.
            by: "best": a member is as similar as the most similar of the member's faces; "mean": as
                the mean of the member's embeddings, brought back to length 1.
            prior: probability that a given face of the table is the queried person, above 0 and
                below 1; default 1 / (faces + 1), as if nobody in the table were as likely as each.

        Raises MembersError for an invalid argument and for another embedder's query.
        """
        self.model.check(query.models.embedder, "the query")
        options = search.Options(top, far, false_matches, by, prior)
        for _ in range(RETRIES):
            try:
                return search.search(self._table, self.model, query, options)
            except RuntimeError as error:
                if "Not found" not in str(error):
                    raise
        return search.search(self._table, self.model, query, options)

    def add(self, member: str, embedding: Embedding, *, photo: str) -> None:
        """Enrol a face; `photo` is the name of its photo, unique for the member.

        Raises MembersError if the member has a face from this photo, if the face is not
        recognizable, and for another embedder's face.
        """
        check_member(member)
        self.model.check(embedding.models.embedder, photo)
        if embedding.recognizable is False:
            raise MembersError(
                f"{photo}: not enrolled, as its face is not recognizable: {embedding.defect}"
            )
        row = {
            "member": [member],
            "photo": [photo],
            "quality": [embedding.quality],
            "added": [datetime.now(UTC)],
            "embedding": [embedding.vector],
        }
        with self._writing():
            same = f"member = {erase.quoted(member)} AND photo = {erase.quoted(photo)}"
            if self._table.count_rows(same):
                raise MembersError(f"{photo}: {member} already has a face from this photo")
            self._table.add(pa.table(row, schema=self._table.schema))

    def remove(self, members: Sequence[str]) -> int:
        """Erase all faces of these members from all files; return how many there were.

        Takes as long as rewriting the files that have them, which may be all.
        """
        if isinstance(members, str) or not members:
            raise ArgumentError("members: must be a list of ids, not empty")
        with self._writing():
            return erase.erase(self._table, members)

    def settle(self) -> None:
        """Bring the files and the index up to date after faces were added.

        Unsettled faces are found, too; many of them make searches slow.
        """
        with self._writing():
            if self.indexed:
                self._table.optimize()
            else:
                self.build_index()

    def build_index(self) -> None:
        """Make the index if there are enough faces for one."""
        if len(self) >= EXACT:
            # One byte a number, in parts around their own centres.
            parts = round(math.sqrt(len(self)) * search.PARTS_PER_ROOT)
            index = IvfSq(distance_type="cosine", num_partitions=parts)
            self._table.create_index("embedding", config=index)

    @property
    def indexed(self) -> bool:
        """Whether searches use an index, so that they are fast but not exact."""
        return bool(self._table.list_indices())

    def stats(self) -> dict[str, Any]:
        """Return the numbers of faces and members, the dates, the models and the index."""
        columns = self._table.search().select(["member", "added"]).to_arrow()
        ends = pc.min_max(columns["added"]).as_py()
        return {
            "faces": columns.num_rows,
            "members": pc.count_distinct(columns["member"]).as_py(),
            "first_added": ends["min"] and ends["min"].isoformat(),
            "last_added": ends["max"] and ends["max"].isoformat(),
            "search": "index" if self.indexed else "exact",
            **self.model.record(),
        }

    def vectors(self) -> Iterator[tuple[list[str], NDArray[np.float32]]]:
        """Yield the members and the embeddings, float32 [n,512], of some faces at a time."""
        for batch in self._table.search().select(["member", "embedding"]).to_batches():
            yield batch["member"].to_pylist(), vectors_of(batch)

    def neighbours(
        self, vectors: NDArray[np.float32], count: int
    ) -> Iterator[tuple[int, str, float]]:
        """Yield a vector's index, and member and similarity of each of its `count` likest faces."""
        yield from search.neighbours(self._table, vectors, count)

    @contextmanager
    def _writing(self) -> Iterator[None]:
        with _lock(self._where):
            self._table.checkout_latest()
            yield


def _connect(where: str) -> Any:
    # Every read sees what other processes have written.
    return lancedb.connect(where, read_consistency_interval=timedelta(0))


def open(where: str | Path) -> Members:
    """Open the table in a folder, or at an address of LanceDB such as s3://bucket/members.

    Raises MembersError if there is none or if it is not ours.
    """
    where = str(where)
    missing = MembersError(f"{where}: there are no members; `aurum faces build` makes them")
    if "://" not in where and not Path(where).is_dir():
        raise missing
    table = _opened(_connect(where))
    if table is None:
        raise missing
    return Members(table, where)


def create(
    where: str | Path, model: Model, batches: Iterator[pa.RecordBatch], *, replace: bool = False
) -> Members:
    """Make the table from batches of the schema's columns; all of it appears at once, or nothing.

    Raises MembersError if there is one and `replace` is False.
    """
    where = str(where)
    if "://" not in where:
        try:
            Path(where).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MembersError(f"{where}: {error.strerror}") from None
    with _lock(where):
        return _create(where, model, batches, replace)


def _create(where: str, model: Model, batches: Iterator[pa.RecordBatch], replace: bool) -> Members:
    base = _connect(where)
    there = _opened(base) is not None
    if there and not replace:
        raise MembersError(f"{where}: has members already; use another folder, or --replace")
    failures: list[MembersError] = []

    def checked() -> Iterator[pa.RecordBatch]:
        try:
            yield from batches
        except MembersError as error:  # LanceDB would make it one of its own
            failures.append(error)
            raise

    reader = pa.RecordBatchReader.from_batches(model.schema(), checked())
    try:
        table = base.create_table(NAME, reader, mode="overwrite")
    except (OSError, RuntimeError, ValueError):
        if there:
            erase.forget(_opened(base))  # the files written so far
        else:
            base.drop_table(NAME, ignore_missing=True)
        if failures:
            raise failures[0] from None
        raise
    erase.forget(table)  # what was replaced, and files of a build that was killed
    made = Members(table, where)
    made.build_index()
    return made


def _opened(base: Any) -> Any:
    """Return LanceDB's table, or None if there is none."""
    try:
        return base.open_table(NAME)
    except ValueError:
        return None


@contextmanager
def _lock(where: str) -> Iterator[None]:
    """Keep other processes of this machine from writing, and delete what a killed one left.

    LanceDB writes to `.tmp*` first and never deletes such a file. It may have embeddings.
    """
    if "://" in where:
        yield
        return
    folder = Path(where)
    with files.locked(folder / ".aurum.lock"):
        for pattern in ("data/.tmp*", "_indices/*/.tmp*"):
            for part in folder.glob(f"{NAME}.lance/{pattern}"):
                part.unlink()
        yield
