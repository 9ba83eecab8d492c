"""What every part of the suite works with: the server, the suite's sizes, the folder, progress."""

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
    """Each round's number with each step; every other round goes backwards.

    So what slows down or speeds up over a run falls on all alike.
    """
    for index in range(rounds):
        for step in steps if index % 2 == 0 else steps[::-1]:
            yield index, step


@dataclass
class Bench:
    """One run of the suite against one server."""

    suite: Suite
    settings: Settings  # of what runs in process: limits, sizes, profile
    prepared: BuiltProfile  # the graphs that are served
    http: str  # addresses of the server
    grpc: str
    pid: int | None  # of tritonserver; None where it isn't ours
    photo: Path  # the JPEG with one face
    photos: Path  # folder of mixed photos
    raw: Path  # folder that gets the raw figures
    progress: Progress
    notes: list[str] = field(default_factory=list)  # of the part that runs

    def table(self, name: str, kind: type[Kind]) -> Table[Kind]:
        """A new CSV file of raw rows."""
        return Table(self.raw / f"{name}.csv", kind)

    def infer(self, model: str) -> str:
        """The address that a model is called at over HTTP."""
        return f"{self.http}/v2/models/{model}/infer"

    def steps(self, name: str, steps: Sequence[Step]) -> Iterator[Step]:
        """The steps of a part, with a progress bar."""
        yield from self.progress.track(steps, description=name)

    def rounds(self, name: str, steps: Sequence[Step]) -> Iterator[tuple[int, Step]]:
        """Each round's number with each step, in alternating order, with a progress bar."""
        yield from self.steps(name, list(alternating(self.suite.rounds, steps)))

    def with_cpu(self, measure: Callable[[], Load]) -> tuple[Load, float]:
        """What `measure` gives, and the server's CPU time a request in ms (NaN: not known)."""
        return processes.with_cpu(self.pid, measure)

    def note(self, text: str) -> None:
        """Something that the report has to say about this part."""
        self.notes.append(text)
        self.progress.console.print(f"- {text}", markup=False, highlight=False)

    def save(self, name: str, document: object) -> None:
        """Keep a JSON document among the raw figures."""
        (self.raw / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n")
