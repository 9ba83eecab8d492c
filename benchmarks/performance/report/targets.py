"""Performance targets, and how each is measured."""

from __future__ import annotations

import operator
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.common import names
from benchmarks.performance.report import maths
from benchmarks.performance.report.maths import by_round, ratios
from benchmarks.performance.report.raw import Raw

_RELATIONS: dict[str, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}


@dataclass(frozen=True)
class Target:
    """One line of the table; `measure` returns a value for each round."""

    figure: str
    relation: str
    limit: float
    unit: str
    part: str  # the suite's part that measures it
    measure: Callable[[Raw], list[float]]

    def met(self, value: float) -> bool:
        """Return whether `value` meets the target."""
        return _RELATIONS[self.relation](value, self.limit)


def _compare(
    what: str, field: str, clients: int, other: str, other_clients: int | None
) -> Callable[[Raw], list[float]]:
    return lambda raw: ratios(
        by_round(raw.compare, what, clients, field),
        by_round(raw.compare, other, other_clients, field),
    )


def _cpu(what: str) -> Callable[[Raw], list[float]]:
    return lambda raw: list(by_round(raw.compare, what, 8, "cpu_ms").values())


def _embedding(size: int | None) -> Callable[[Raw], list[float]]:
    """Return the ratio of crops per second, service / in process; size None: whole batches."""

    def measure(raw: Raw) -> list[float]:
        batch = next((run.size for run in raw.models if run.what == names.EMBEDDING_IN_PROCESS), 0)
        chosen = size or batch
        here = by_round(raw.models, names.EMBEDDING, None, "rate", chosen)
        baseline = by_round(raw.models, names.EMBEDDING_IN_PROCESS, None, "rate")
        crops = {index: rate * chosen for index, rate in here.items()}
        return ratios(crops, {index: rate * batch for index, rate in baseline.items()})

    return measure


def _p95(what: str) -> Callable[[Raw], list[float]]:
    return lambda raw: list(by_round(raw.models, what, 1, "p95").values())


def _busiest(what: str) -> Callable[[Raw], list[float]]:
    def measure(raw: Raw) -> list[float]:
        most = max((run.clients for run in raw.models if run.what == what), default=0)
        return list(by_round(raw.models, what, most, "rate").values())

    return measure


def _face(field: str) -> Callable[[Raw], list[float]]:
    def measure(raw: Raw) -> list[float]:
        photos = [run for run in raw.faces if run.what == names.PHOTO]
        costs = {index: maths.face_cost(photos, index, field) for index in _rounds(raw)}
        batches = [run for run in raw.faces if run.what == names.EMBEDDING_IN_PROCESS]
        return ratios(costs, {run.round: 1000 / (run.rate * run.size) for run in batches})

    return measure


def _rounds(raw: Raw) -> list[int]:
    return sorted({run.round for run in raw.faces})


def _held(raw: Raw) -> list[float]:
    """Return the answered rate at the highest rate held, for each search."""
    own = [row for row in raw.locust if row.search and row.photos == names.ONE_FACE]
    searches = dict.fromkeys(row.search for row in own)
    return [
        max((row.rate for row in own if row.search == search and row.held), default=0.0)
        for search in searches
    ]


def _memory(raw: Raw) -> list[float]:
    return [max(maths.totals(raw.soak).values())] if raw.soak else []


# Set for two cores with AVX-512 VNNI. "Flat" memory means less than 1 MB per minute: 10 MB in ten
# minutes, 2 % of 500.
TARGETS = (
    *(
        Target(
            f"`analyze_faces` throughput at {clients} clients{words} / competitor's",
            ">=",
            limit,
            "",
            "compare",
            _compare(what, "rate", clients, names.COMPETITOR, clients),
        )
        for what, words, limit in (
            (names.SERVICE_PLAIN, ", `refine` off", 1.35),
            (names.SERVICE, "", 1.28),
        )
        for clients in (8, 16)
    ),
    *(
        Target(
            f"`analyze_faces` throughput at {clients} clients, `refine` off / plain baseline",
            ">=",
            1.15,
            "",
            "compare",
            _compare(names.SERVICE_PLAIN, "rate", clients, names.BASELINE, None),
        )
        for clients in (8, 16)
    ),
    Target(
        "p50 at one client, `refine` off / competitor's",
        "<=",
        0.85,
        "",
        "compare",
        _compare(names.SERVICE_PLAIN, "p50", 1, names.COMPETITOR, 1),
    ),
    *(
        Target(f"CPU time of a photo at 8 clients{words}", "<=", limit, "ms", "compare", _cpu(what))
        for what, words, limit in (
            (names.SERVICE_PLAIN, ", `refine` off", 9.2),
            (names.SERVICE, "", 9.9),
        )
    ),
    Target(
        "`face_embedding` throughput, requests of whole batches / in-process batched calls",
        ">=",
        0.9,
        "",
        "models",
        _embedding(None),
    ),
    Target(
        "`face_embedding` throughput, requests of one crop / in-process batched calls",
        ">=",
        0.9,
        "",
        "models",
        _embedding(1),
    ),
    Target("`face_detection` p95 at one client", "<", 15, "ms", "models", _p95(names.DETECTION)),
    Target("`face_detection` throughput", ">", 430, "/s", "models", _busiest(names.DETECTION)),
    Target("`embed_face` aligned p95 at one client", "<", 5, "ms", "models", _p95(names.ALIGNED)),
    Target("`embed_face` aligned throughput", ">", 450, "/s", "models", _busiest(names.ALIGNED)),
    Target(
        "one more face in a photo, time at one client / embedder's cost of a face in a batch",
        "<=",
        1.2,
        "",
        "faces",
        _face("time"),
    ),
    Target(
        "one more face in a photo, CPU time / embedder's cost of a face in a batch",
        "<=",
        1.2,
        "",
        "faces",
        _face("cpu_ms"),
    ),
    Target("memory of all processes under load (PSS), most", "<", 500, "MB", "soak", _memory),
    Target(
        "memory of all processes, growth over the last 80 % of the time",
        "<",
        1.0,
        "MB/min",
        "soak",
        lambda raw: [maths.growth(raw.soak)],
    ),
    Target(
        "failed requests of the soak",
        "<=",
        0,
        "",
        "soak",
        lambda raw: [float(row.failures) for row in raw.soak_load],
    ),
    Target("Locust: rate held at p95 < 100 ms", ">=", 130, "/s", "locust", _held),
)
