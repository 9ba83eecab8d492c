"""Search: rank members by similarity to a face, and decide by the calibration."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from aurum_client.calibration import DEFAULT_FAR, check_prior
from numpy.typing import NDArray

from aurum.members.decision import LOOSEST, STRICTEST, STRICTEST_MEASURED, threshold
from aurum.members.erase import among
from aurum.members.errors import ArgumentError
from aurum.members.schema import Model, vectors_of

if TYPE_CHECKING:
    from aurum_client import Embedding

MOST = 1000  # members in an answer
# The index has sqrt(faces) times this many parts. Half of them are searched, and five times the
# wanted faces are compared again with full precision: 0.99 of the ten likest faces are found
# (`python -m benchmarks members`).
PARTS_PER_ROOT = 0.4
SEARCHED = 0.5
REFINED = 5
RERANKED = 20  # by the mean: this many faces for each wanted member are looked at


@dataclass(frozen=True)
class Options:
    """The arguments of `Members.search`, checked."""

    top: int
    far: float | None
    false_matches: float | None
    by: str
    prior: float | None

    def __post_init__(self) -> None:
        if not 1 <= self.top <= MOST:
            raise ArgumentError(f"top={self.top}: must be 1 to {MOST}")
        if self.far is not None and self.false_matches is not None:
            raise ArgumentError("far and false_matches exclude each other: give one")
        if self.far is not None and not 0 < self.far <= LOOSEST:
            raise ArgumentError(f"far={self.far:g}: must be above 0 and at most {LOOSEST:g}")
        if self.false_matches is not None and not 0 < self.false_matches < float("inf"):
            raise ArgumentError(f"false_matches={self.false_matches:g}: must be a number above 0")
        if self.by not in ("best", "mean"):
            raise ArgumentError(f"by={self.by!r}: must be best or mean")
        try:
            check_prior(self.prior)
        except ValueError as error:
            raise ArgumentError(str(error)) from None

    def rate(self, faces: int) -> float:
        """Return the false accept rate of one comparison in a table of so many faces."""
        if self.false_matches is not None:
            return min(LOOSEST, self.false_matches / max(faces, 1))
        return DEFAULT_FAR if self.far is None else self.far


@dataclass(frozen=True)
class Candidate:
    """A member who may be the person.

    `similarity`: cosine, -1 to 1. `probability`: that it is one person, 0 to 1. `match`: whether
    the similarity reaches the threshold. Both are None where there is no decision. `photo`: the
    name of the member's photo that is most similar.
    """

    member: str
    similarity: float
    probability: float | None
    match: bool | None
    photo: str


@dataclass(frozen=True)
class Search:
    """The answer to a search: the likest members first.

    `far`: false accept rate of one comparison; `faces`: how many were compared, so that `far` times
    `faces` strangers match on average. `threshold`: the least similarity of a match, or None, for
    the `reason`. `note`: what to know about the threshold, or None.
    """

    candidates: list[Candidate]
    far: float
    faces: int
    threshold: float | None
    reason: str | None
    note: str | None


def search(table: Any, model: Model, query: Embedding, options: Options) -> Search:
    """Answer `Members.search`."""
    faces = int(table.count_rows())
    far = options.rate(faces)
    limit, reason = _decide(model, query, far)
    note = None
    if limit is not None and far < STRICTEST_MEASURED:
        note = f"extrapolated from the rates that were measured, {STRICTEST_MEASURED:g} and above"
    prior = options.prior or 1 / (faces + 1)
    candidates = []
    for member, similarity, photo in _ranked(table, query.vector, options):
        known = model.calibration if query.recognizable is not False else None
        probability = known.probability(similarity, prior) if known else None
        match = None if limit is None else similarity >= limit
        candidates.append(Candidate(member, similarity, probability, match, photo))
    return Search(candidates, far, faces, limit, reason, note)


def _decide(model: Model, query: Embedding, far: float) -> tuple[float | None, str | None]:
    """Return the threshold, or the reason why there is none."""
    if query.recognizable is False:
        return None, f"the face is not recognizable: {query.defect}"
    if model.calibration is None:
        return None, f"the embedder {model.embedder} was not calibrated when the table was built"
    limit = threshold(model.calibration, far)
    if limit is None:
        return None, (
            f"the calibration's data can't show a false accept rate of {far:g}, only of "
            f"{STRICTEST:g} and above"
        )
    return limit, None


def _ranked(
    table: Any, vector: NDArray[np.float32], options: Options
) -> list[tuple[str, float, str]]:
    """Return the likest members, each with the similarity and the likest photo."""
    wanted = options.top * (RERANKED if options.by == "mean" else 1)
    rows = options.top * RERANKED
    while True:
        found = _nearest(table, vector, rows, ["member", "photo"])
        best: dict[str, tuple[float, str]] = {}  # the likest comes first
        for row in found:
            best.setdefault(row["member"], (_cosine(row), row["photo"]))
        # A member with many photos can take up a whole page.
        if len(best) >= options.top or len(found) < rows:
            break
        rows *= 4
    if options.by == "mean" and best:
        members = list(best)[:wanted]
        means = _means(table, vector, members)
        ranked = [(member, means[member], best[member][1]) for member in members]
        ranked.sort(key=lambda one: -one[1])
    else:
        ranked = [(member, alike, photo) for member, (alike, photo) in best.items()]
    return ranked[: options.top]


def _means(table: Any, vector: NDArray[np.float32], members: list[str]) -> dict[str, float]:
    """Return the similarity to the mean of each member's embeddings."""
    sums: dict[str, Any] = {}
    for batch in table.search().where(among(members)).select(["member", "embedding"]).to_batches():
        for member, embedding in zip(batch["member"].to_pylist(), vectors_of(batch), strict=True):
            sums[member] = sums.get(member, 0) + embedding
    return {
        member: float(np.clip(total @ vector / max(np.linalg.norm(total), 1e-9), -1, 1))
        for member, total in sums.items()
    }


def neighbours(
    table: Any, vectors: NDArray[np.float32], count: int
) -> Iterator[tuple[int, str, float]]:
    """Yield a vector's index, and member and similarity of each of its `count` likest faces."""
    for row in _nearest(table, vectors, count, ["member"]):
        yield row.get("query_index", 0), row["member"], _cosine(row)


def _nearest(
    table: Any, vectors: NDArray[np.float32], rows: int, columns: list[str]
) -> list[dict[str, Any]]:
    """Return the likest rows of one vector [512], or of each of several [n,512], likest first."""
    query = table.search(vectors, vector_column_name="embedding").distance_type("cosine")
    parts = max(1, round(table.count_rows() ** 0.5 * PARTS_PER_ROOT * SEARCHED))
    query = query.nprobes(parts).refine_factor(REFINED).limit(rows)
    found: list[dict[str, Any]] = query.select([*columns, "_distance"]).to_arrow().to_pylist()
    return found


def _cosine(row: dict[str, Any]) -> float:
    return float(np.clip(1 - row["_distance"], -1, 1))
