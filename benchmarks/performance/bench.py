"""The context of every part of the suite: server, suite, output folder, progress."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from rich.progress import Progress

from aurum.models.build import BuiltProfile
from aurum.settings import Settings
from benchmarks.common import processes
from benchmarks.common.rows import Kind, Table
from benchmarks.load.outcome import Load
from benchmarks.performance.suites import Suite

Step = TypeVar("Step")


def alternating(rounds: int, steps: Sequence[Step]) -> Iterator[tuple[int, Step]]:
    """Yield each round's number with each step; every other round runs backwards.

    So drifts during a run affect all steps equally.
    """
    for index in range(rounds):
        for step in steps if index % 2 == 0 else steps[::-1]:
            yield index, step


@dataclass
class Bench:
    """One run of the suite against one server."""

    suite: Suite
    settings: Settings  # of the code that runs in process: limits, sizes, profile
    prepared: BuiltProfile  # the served graphs
    http: str  # addresses of the server
    grpc: str
    pid: int | None  # of tritonserver; None if the suite did not start it
    photo: Path  # JPEG with one face
    photos: Path  # folder of mixed photos
    raw: Path  # folder for the raw figures
    progress: Progress
    notes: list[str] = field(default_factory=list)  # of the current part

    def table(self, name: str, kind: type[Kind]) -> Table[Kind]:
        """Create a CSV file of raw rows."""
        return Table(self.raw / f"{name}.csv", kind)

    def infer(self, model: str) -> str:
        """Return a model's HTTP address."""
        return f"{self.http}/v2/models/{model}/infer"

    def steps(self, name: str, steps: Sequence[Step]) -> Iterator[Step]:
        """Yield the steps of a part, with a progress bar."""
        yield from self.progress.track(steps, description=name)

    def rounds(self, name: str, steps: Sequence[Step]) -> Iterator[tuple[int, Step]]:
        """Yield each round's number with each step, in alternating order, with a progress bar."""
        yield from self.steps(name, list(alternating(self.suite.rounds, steps)))

    def with_cpu(self, measure: Callable[[], Load]) -> tuple[Load, float]:
        """Run `measure`; return its load and the server's CPU time per request in ms (or NaN)."""
        return processes.with_cpu(self.pid, measure)

    def note(self, text: str) -> None:
        """Add a note to the report's section on this part."""
        self.notes.append(text)
        self.progress.console.print(f"- {text}", markup=False, highlight=False)

    def save(self, name: str, document: object) -> None:
        """Write a JSON document to the raw figures."""
        (self.raw / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n")
