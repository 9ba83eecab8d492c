"""State of the releases: the active one, the previous one, the candidate, and their graphs.

The state is one JSON file, stored beside the graphs and replaced atomically. A crash therefore
leaves either the old or the new state, and the pipelines, which read the same file
(aurum.releases.active), switch from one release to the next in one step.
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
    """The rollout state, or a graph in it, is damaged or unreadable; the message gives details."""


@dataclass(frozen=True)
class Graph:
    """One served model of a release."""

    id: str  # the model id in its answers, such as edgeface_xs_q@f078bab9d777
    sha256: str  # of the graph's file
    version: int  # its version in Triton: the number of the release that introduced it
    kernels: str = ""  # sha256 of the graph with our kernels beside it; empty: there is none

    @property
    def files(self) -> tuple[str, str]:
        """Digests of its files."""
        return self.sha256, self.kernels


@dataclass(frozen=True)
class Check:
    """One check of a validation."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True)
class Validation:
    """Result of validating a release."""

    time: str
    by: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether every check passed."""
        return all(check.ok for check in self.checks)


@dataclass(frozen=True)
class Release:
    """A detector and an embedder that are served together; numbered from 1, the first served."""

    number: int
    profile: str  # its name in models.toml at that time; empty if it had none
    graphs: Mapping[str, Graph]  # by served name
    time: str  # when it was staged, or first recorded as the served one
    by: str
    validation: Validation | None = None

    @property
    def ids(self) -> dict[str, str]:
        """The models' ids by served name."""
        return {name: graph.id for name, graph in self.graphs.items()}

    def __str__(self) -> str:
        ids = dict.fromkeys(self.ids.values())  # two graphs may have the same model
        return f"release {self.number} ({', '.join(ids)})"


@dataclass(frozen=True)
class Event:
    """An entry of the history."""

    time: str
    what: str  # stage, validate, promote, rollback; followed by " failed" if it did
    by: str
    release: int  # the release concerned; for a rollback, the one that becomes active again
    previous: int | None  # the release that was active before
    detail: str = ""


@dataclass(frozen=True)
class State:
    """The state of the releases.

    `current`, the active release, is None until the first promotion; AURUM_PROFILE is served then.
    """

    current: Release | None = None
    previous: Release | None = None  # the target of a rollback
    candidate: Release | None = None
    newest: int = 1  # highest release number so far
    switched: float = 0.0  # Unix time of the last promotion or rollback
    history: tuple[Event, ...] = ()

    def noted(self, what: str, by: str, release: Release, detail: str = "") -> State:
        """Return the state with another history entry."""
        before = self.current.number if self.current else None
        event = Event(now(), what, by, release.number, before, detail)
        return replace(self, history=(*self.history, event))


class Store:
    """Stores the state and the graphs in a folder (Settings.rollout)."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._state = folder / FILE
        self._graphs = folder / "graphs"

    def load(self) -> State:
        """Return the stored state, or an empty one if there is none. Raises StateError."""
        try:
            return _state(json.loads(self._state.read_text(encoding="utf-8")))
        except FileNotFoundError:
            return State()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise StateError(
                f"{self._state} can't be read: {error}.\nTo fix: restore it from a backup; or "
                f"remove {self.folder}, and the next start serves AURUM_PROFILE."
            ) from error

    def save(self, state: State) -> None:
        """Replace the state atomically."""
        self.folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"format": FORMAT, **asdict(state)}, indent=1)
        files.write(self._state, (text + "\n").encode())

    def keep(self, source: Path) -> tuple[str, str]:
        """Store copies of a graph and of the one with kernels beside it; return `Graph.files`."""
        target = self._path(files.sha256(source))
        if not kernels.beside(source).is_file():
            return files.copy_if_changed(source, target), ""
        return files.copy_if_changed(source, target), files.copy_if_changed(
            kernels.beside(source), kernels.beside(target)
        )

    def graph(self, graph: Graph) -> Path:
        """Return the stored file of a graph. Raises StateError if it is missing or damaged."""
        path = self._path(graph.sha256)
        _check(graph, path, graph.sha256)
        if graph.kernels:
            _check(graph, kernels.beside(path), graph.kernels)
        return path

    def paths(self, release: Release) -> dict[str, Path]:
        """Check and return the stored files of a release by served name. Raises StateError."""
        return {name: self.graph(graph) for name, graph in release.graphs.items()}

    def tidy(self, state: State) -> None:
        """Remove graphs that belong to no release of the state."""
        releases = (state.current, state.previous, state.candidate)
        used = {graph.sha256 for item in releases if item for graph in item.graphs.values()}
        for path in self._graphs.glob("*"):
            if path.name.partition(".")[0] not in used:
                path.unlink()

    def put(self, graph: Graph, folder: Path) -> None:
        """Copy a graph into `folder`, which is created atomically. Raises StateError."""
        source = self.graph(graph)
        part = self.folder / f".{graph.sha256}.{folder.name}"
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(parents=True)
        target = part / "model.onnx"
        shutil.copyfile(source, target)
        # A graph from a version of Aurum without kernels is served under both names.
        shutil.copyfile(kernels.beside(source) if graph.kernels else source, kernels.beside(target))
        part.rename(folder)

    def _path(self, digest: str) -> Path:
        return self._graphs / f"{digest}.onnx"


def _check(graph: Graph, path: Path, digest: str) -> None:
    try:
        found = files.sha256(path)
    except OSError as error:
        raise StateError(f"the graph of {graph.id} can't be read: {error}") from error
    if found != digest:
        raise StateError(
            f"the graph of {graph.id}, {path}, is damaged: its sha256 is {found}.\n"
            "To fix: restore it from a backup, or stage its profile again."
        )


def now() -> str:
    """Return the current time in the format of the history."""
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
