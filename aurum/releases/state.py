"""Releases: which graphs are served, were served before, and may be served next.

All of it is one JSON file, replaced as a whole, beside the graphs themselves. So a crash leaves
either the old state or the new one, and the pipelines (aurum.releases.active), which read the
same file, change from one release to the next in one step.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aurum import files, kernels
from aurum.errors import OperatorError
from aurum.releases.active import FILE

FORMAT = 2


class StateError(OperatorError, ValueError):
    """The rollout's state, or a graph that it names, is damaged; the message says which and how."""


@dataclass(frozen=True)
class Graph:
    """One served model of a release."""

    id: str  # what its answers say, e.g. edgeface_xs_q@f078bab9d777
    sha256: str  # of the graph's file
    version: int  # its version in Triton: that of the release that brought it
    kernels: str = ""  # sha256 of the graph with our kernels beside it; empty: there is none

    @property
    def files(self) -> tuple[str, str]:
        """What it is made of."""
        return self.sha256, self.kernels


@dataclass(frozen=True)
class Check:
    """One finding of a validation."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True)
class Validation:
    """What the validation of a release found, and when."""

    time: str
    by: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every check did."""
        return all(check.ok for check in self.checks)


@dataclass(frozen=True)
class Release:
    """A detector and an embedder that are served together; numbered from 1, the first served."""

    number: int
    profile: str  # of models.toml at that time; empty where it was none
    graphs: Mapping[str, Graph]  # by served name
    time: str  # when it was staged, or found being served
    by: str
    validation: Validation | None = None

    @property
    def ids(self) -> dict[str, str]:
        """The models' ids by served name."""
        return {name: graph.id for name, graph in self.graphs.items()}

    def __str__(self) -> str:
        ids = dict.fromkeys(self.ids.values())  # two graphs may be of one model
        return f"release {self.number} ({', '.join(ids)})"


@dataclass(frozen=True)
class Event:
    """A line of the history."""

    time: str
    what: str  # stage, validate, promote, rollback; with " failed" where it did
    by: str
    release: int  # that it concerns: for a rollback, the one that is served again
    previous: int | None  # that was served before
    detail: str = ""


@dataclass(frozen=True)
class State:
    """`current` is None until the first promotion: till then AURUM_PROFILE says what is served."""

    current: Release | None = None
    previous: Release | None = None  # what a rollback goes back to
    candidate: Release | None = None
    newest: int = 1  # number of the newest release ever
    switched: float = 0.0  # Unix time of the last promotion or rollback
    history: tuple[Event, ...] = ()

    def noted(self, what: str, by: str, release: Release, detail: str = "") -> State:
        """The state with one more line of history."""
        before = self.current.number if self.current else None
        event = Event(now(), what, by, release.number, before, detail)
        return replace(self, history=(*self.history, event))


class Store:
    """The state and the graphs in a folder (Settings.rollout)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._state = folder / FILE
        self._graphs = folder / "graphs"

    def load(self) -> State:
        """The state; an empty one where there is none. Raises StateError."""
        try:
            return _state(json.loads(self._state.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return State()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StateError(
                f"{self._state} can't be read: {error}.\nTo mend: restore it from a backup; or "
                f"remove {self.folder}, and AURUM_PROFILE says at the next start what is served."
            ) from error

    def save(self, state: State) -> None:
        """Replace the state, at once for all who read it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"format": FORMAT, **asdict(state)}, indent=1)
        files.write(self._state, (text + "\n").encode())

    def keep(self, source: Path) -> tuple[str, str]:
        """Keep a copy of a graph, and of that with our kernels beside it; their `Graph.files`."""
        target = self._path(files.sha256(source))
        if not kernels.beside(source).is_file():
            return _copy(source, target), ""
        return _copy(source, target), _copy(kernels.beside(source), kernels.beside(target))

    def graph(self, graph: Graph) -> Path:
        """The kept file of a graph. Raises StateError if it is not what was kept."""
        path = self._path(graph.sha256)
        _check(graph, path, graph.sha256)
        if graph.kernels:
            _check(graph, kernels.beside(path), graph.kernels)
        return path

    def paths(self, release: Release) -> dict[str, Path]:
        """The kept files of a release, checked, by served name. Raises StateError."""
        return {name: self.graph(graph) for name, graph in release.graphs.items()}

    def tidy(self, state: State) -> None:
        """Remove graphs that no release of the state has."""
        releases = (state.current, state.previous, state.candidate)
        used = {graph.sha256 for item in releases if item for graph in item.graphs.values()}
        for path in self._graphs.glob("*"):
            if path.name.partition(".")[0] not in used:
                path.unlink()

    def put(self, graph: Graph, folder: Path) -> None:
        """Put a graph into `folder`, which appears at once and whole. Raises StateError."""
        source = self.graph(graph)
        part = self.folder / f".{graph.sha256}.{folder.name}"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        target = part / "model.onnx"
        shutil.copyfile(source, target)
        # A graph of an Aurum before there were kernels is served by either name.
        shutil.copyfile(kernels.beside(source) if graph.kernels else source, kernels.beside(target))
        part.rename(folder)

    def _path(self, digest: str) -> Path:
        return self._graphs / f"{digest}.onnx"


def _copy(source: Path, target: Path) -> str:
    """Copy a file, if it isn't there; its sha256."""
    digest = files.sha256(source)
    if not target.is_file() or files.sha256(target) != digest:
        target.parent.mkdir(parents=True, exist_ok=True)
        files.write(target, source.read_bytes())
    return digest


def _check(graph: Graph, path: Path, digest: str) -> None:
    try:
        found = files.sha256(path)
    except OSError as error:
        raise StateError(f"the graph of {graph.id} can't be read: {error}") from error
    if found != digest:
        raise StateError(
            f"the graph of {graph.id}, {path}, is damaged: its sha256 is {found}.\n"
            "To mend: restore it from a backup, or stage its profile again."
        )


def now() -> str:
    """The time, as the history tells it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def _state(document: dict[str, Any]) -> State:
    found = document.pop("format")
    if found != FORMAT:
        raise ValueError(f"its format is {found}, of another version of Aurum; {FORMAT} is needed")
    for name in ("current", "previous", "candidate"):
        document[name] = _release(document[name])
    document["history"] = tuple(Event(**event) for event in document["history"])
    return State(**document)


def _release(document: dict[str, Any] | None) -> Release | None:
    if document is None:
        return None
    found = document.pop("validation")
    if found:
        found = Validation(**{**found, "checks": tuple(Check(**item) for item in found["checks"])})
    graphs = {name: Graph(**graph) for name, graph in document.pop("graphs").items()}
    return Release(**document, graphs=graphs, validation=found)
