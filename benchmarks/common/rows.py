"""Raw rows, written by measurements and read by reports: one CSV file for each kind."""

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
    """One measurement within one round of a part."""

    round: int
    what: str
    clients: int  # requests in flight; in process: number of workers
    size: int  # items in a request: crops in a batch, faces in a photo
    requests: int
    failures: int
    rate: float  # requests per second
    p50: float  # milliseconds; NaN without single requests
    p95: float
    p99: float
    cpu_ms: float  # CPU time of the server's processes per request; NaN if unknown

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
        """Create the row of a `load`."""
        times = (load.p50, load.p95, load.p99)
        return cls(
            index, what, clients, size, load.requests, load.failures, load.rate, *times, cpu_ms
        )


@dataclass(frozen=True)
class ModelStats:
    """Triton's counters of one model during one load; times are means in µs per request."""

    round: int
    clients: int
    model: str
    requests: int
    inferences: int  # items: photos or crops
    executions: int  # calls of the model, each with a batch of items
    queue_us: float
    input_us: float
    infer_us: float
    output_us: float


@dataclass(frozen=True)
class Sample:
    """Memory of one process at one moment."""

    seconds: float  # since the load started
    process: str
    pss_mb: float  # proportional set size, in 10^6 bytes


@dataclass(frozen=True)
class Users:
    """One run of Locust."""

    search: str  # the search for the held rate that it belongs to; empty: at full speed
    photos: str
    protocol: str
    users: int
    asked: float  # photos per second; 0: at full speed
    held: bool
    requests: int
    failures: int
    rate: float
    p50: float
    p95: float
    p99: float
    reasons: str  # of the failures


@dataclass(frozen=True)
class Sweep:
    """perf_analyzer's measurement of one workload; times in µs, means per request unless named."""

    workload: str
    protocol: str
    clients: int  # requests in flight
    rate: float  # inferences per second
    send_us: int
    network_us: int  # includes what the server does besides queueing and computing
    queue_us: int
    input_us: int
    infer_us: int
    output_us: int
    receive_us: int
    p50_us: int
    p90_us: int
    p95_us: int
    p99_us: int
    mean_us: int
    exchange_us: int  # sending the request and receiving the response
    wait_us: int  # waiting for the response


@dataclass(frozen=True)
class Failure:
    """The kill of one process of a supervised server under load."""

    round: int
    killed: str
    recovery_s: float  # from the kill until the server answers again
    requests: int  # of retrying clients, before, during and after the outage
    failed: int
    slowest_s: float  # the slowest request, including retries


@dataclass(frozen=True)
class Freeze:
    """A freeze of processes of a supervised server for some seconds (SIGSTOP, SIGCONT)."""

    round: int
    frozen: str
    when: str
    restarted: bool
    longest_s: float  # longest request, including retries, minus the duration of the freeze
    requests: int
    failed: int
    said: str  # what `aurum up` printed about ended processes


Kind = TypeVar("Kind", Run, ModelStats, Sample, Users, Sweep, Failure, Freeze)


class Table(Generic[Kind]):
    """A CSV file that gets each row as soon as it is measured."""

    def __init__(self, path: Path, kind: type[Kind]) -> None:
        self._path = path
        with path.open("w", newline="") as file:
            csv.writer(file).writerow(item.name for item in fields(kind))

    def add(self, row: Kind) -> None:
        """Append one row."""
        with self._path.open("a", newline="") as file:
            csv.writer(file).writerow(astuple(row))


def read(path: Path, kind: type[Kind]) -> list[Kind]:
    """Read the rows of `path`; none if there is no such file."""
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
