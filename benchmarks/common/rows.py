"""The raw rows that measuring writes and reporting reads: one CSV file for each kind."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from typing import Any, Generic, TypeVar, get_type_hints

from benchmarks.load.outcome import Load


@dataclass(frozen=True)
class Run:
    """One thing measured once, within one round of a part."""

    round: int
    what: str
    clients: int  # requests in flight; for what runs in process: its workers
    size: int  # items in a request: crops of a batch, faces of a photo
    requests: int
    failures: int
    rate: float  # requests a second
    p50: float  # milliseconds; NaN where there are no single requests
    p95: float
    p99: float
    cpu_ms: float  # CPU time of the server's processes for a request; NaN where it isn't known

    @classmethod
    def of(
        cls,
        index: int,
        what: str,
        clients: int,
        load: Load,
        *,
        size: int = 1,
        cpu_ms: float = math.nan,
    ) -> Run:
        """The row of a `load`."""
        times = (load.p50, load.p95, load.p99)
        return cls(
            index, what, clients, size, load.requests, load.failures, load.rate, *times, cpu_ms
        )


@dataclass(frozen=True)
class ModelStats:
    """What Triton counted for one model during one load; times are means in µs a request."""

    round: int
    clients: int
    model: str
    requests: int
    inferences: int  # items: photos or crops
    executions: int  # calls of the model, each with a batch of some items
    queue_us: float
    input_us: float
    infer_us: float
    output_us: float


@dataclass(frozen=True)
class Sample:
    """The memory of one process at one moment."""

    seconds: float  # since the load began
    process: str
    pss_mb: float  # proportional set size, in 10^6 bytes


@dataclass(frozen=True)
class Users:
    """One run of Locust."""

    search: str  # the search for the held rate that it belongs to; empty: as fast as it goes
    photos: str
    protocol: str
    users: int
    asked: float  # photos a second; 0: as fast as the answers come
    held: bool
    requests: int
    failures: int
    rate: float
    p50: float
    p95: float
    p99: float
    reasons: str  # of the failures


@dataclass(frozen=True)
class Failure:
    """One process of a supervised server killed under load."""

    round: int
    killed: str
    recovery_s: float  # from the kill until the server answers again
    requests: int  # of clients that try again, before, meanwhile and after
    failed: int
    slowest_s: float  # the longest of them, its tries included


@dataclass(frozen=True)
class Freeze:
    """Processes of a supervised server stopped for some seconds (SIGSTOP, SIGCONT)."""

    round: int
    frozen: str
    when: str
    restarted: bool
    longest_s: float  # that a request waited, its tries included, without the seconds of the freeze
    requests: int
    failed: int
    said: str  # by `aurum up`, of what ended


Kind = TypeVar("Kind", Run, ModelStats, Sample, Users, Failure, Freeze)


class Table(Generic[Kind]):
    """A CSV file that grows by a row as soon as it was measured."""

    def __init__(self, path: Path, kind: type[Kind]) -> None:
        self._path = path
        with path.open("w", newline="") as file:
            csv.writer(file).writerow(item.name for item in fields(kind))

    def add(self, row: Kind) -> None:
        """Write one row."""
        with self._path.open("a", newline="") as file:
            csv.writer(file).writerow(astuple(row))


def read(path: Path, kind: type[Kind]) -> list[Kind]:
    """The rows of `path`; none where there is no such file."""
    return list(_rows(path, kind)) if path.is_file() else []


def _rows(path: Path, kind: type[Kind]) -> Iterator[Kind]:
    types = get_type_hints(kind)
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            values: dict[str, Any] = {
                name: text == "True" if types[name] is bool else types[name](text)
                for name, text in row.items()
            }
            yield kind(**values)
