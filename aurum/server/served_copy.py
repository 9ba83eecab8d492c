"""The served copy: a server's copy of the repositories, which only a rollout changes.

Triton polls its repositories every POLL seconds and loads new versions. Its API for loading would
need a key, which every user of the machine could read on tritonserver's command line. The API is
therefore closed to all, and write access to this folder decides who can load models. It is a copy,
so that neither an editor nor `git pull` changes a running server.

Folders of versions appear and disappear atomically, so Triton never sees half-written ones. Triton
2.51 loads and unloads only the versions that changed; all others stay loaded.
"""

from __future__ import annotations

import compileall
import json
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx

from aurum import contract, files
from aurum.contract import MODELS, REPOSITORIES
from aurum.errors import OperatorError
from aurum.releases.state import Graph, Release, Store
from aurum.server.claim import copy_folder, is_held, lock_path
from aurum.server.preflight import check_graphs
from aurum.settings import Settings

POLL = 1  # seconds
FLAGS = ("--model-control-mode=poll", f"--repository-poll-secs={POLL}")

# The smallest inputs that the models accept.
_PROBES = {
    contract.DETECTION: ("images", (1, 3, 64, 64)),
    contract.LANDMARKS: ("crops", (1, 96, 96, 3)),
    contract.EMBEDDING: ("crops", (1, 112, 112, 3)),
}


class ServedCopyError(OperatorError, RuntimeError):
    """A running server does not load or answer with a release; the message says why."""


@contextmanager
def exclusive(settings: Settings) -> Iterator[None]:
    """Keep others from starting a server for these repositories, or changing a served copy."""
    settings.rollout.mkdir(parents=True, exist_ok=True)
    with files.locked(settings.rollout / "live.lock"):
        yield


class ServedCopy:
    """The copy of one server. The server holds the claim on it from `open` to `close`."""

    def __init__(self, settings: Settings, log: Path) -> None:
        self._settings = settings
        self._log = log
        self.folder = copy_folder(settings)
        self._card = self.folder.with_suffix(".json")
        self._sources: list[Path] = []

    def open(self) -> None:
        """Create the copy, with the active release if there is one, and its card for rollouts.

        Raises StateError, ServedCopyError and OSError; the copy is then removed.
        """
        with exclusive(self._settings):
            self.close()  # removes the copy of a server that was killed
            try:
                self._create()
            except BaseException:
                self.close()
                raise
            card = {
                "url": self._settings.http_url,
                "folder": str(self.folder),
                "log": str(self._log),
            }
            files.write(self._card, json.dumps(card).encode())

    def _create(self) -> None:
        for name in REPOSITORIES:
            shutil.copytree(
                self._settings.repositories / name,
                self.folder / name,
                ignore=shutil.ignore_patterns(
                    "__pycache__", *([] if self._settings.liveness else [contract.LIVENESS])
                ),
            )
        # Otherwise Python would do it later, and Triton would take the files for a changed step.
        compileall.compile_dir(self.folder / "python_backends", quiet=2)
        store = Store(self._settings.rollout)
        if current := store.load().current:
            for name, graph in current.graphs.items():
                model = self.folder / "model_repository" / name
                for version in _versions(model):
                    shutil.rmtree(model / str(version))
                store.put(graph, model / str(graph.version))
        check_graphs(self.folder, self._settings.served_models)
        self._sources = [
            path
            for name in ("python_backends", "ensembles")
            for path in (self.folder / name).rglob("*")
            if path.suffix in (".py", ".pbtxt")
        ]

    def missing(self) -> str:
        """Name a file that was removed from the copy; empty if none. Rollouts replace versions."""
        served = self._settings.served_models
        models = (self.folder / "model_repository" / name for name in served)
        if gone := next((path for path in self._sources if not path.exists()), None) or next(
            (path for path in models if not any(path.glob("*/model.onnx"))), None
        ):
            return f"files that it serves were removed: {gone}"
        return ""

    def close(self) -> None:
        """Remove the copy."""
        self._card.unlink(missing_ok=True)
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True)
class Running:
    """A running server, as a rollout sees it."""

    url: str
    folder: Path
    log: Path

    def versions(self, model: str) -> set[int]:
        """Return the versions of `model` in the copy, which the server should have loaded."""
        return _versions(self.folder / "model_repository" / model)

    def holds_more_than(self, release: Release) -> bool:
        """Whether versions of another release are loaded, too."""
        return any(self.versions(name) - {release.graphs[name].version} for name in MODELS)

    def keep(self, release: Release) -> None:
        """Unload all versions except those of `release`."""
        for name in MODELS:
            for version in self.versions(name) - {release.graphs[name].version}:
                folder = self.folder / "model_repository" / name / str(version)
                gone = self.folder / f"gone-{name}-{version}"
                shutil.rmtree(gone, ignore_errors=True)  # left by a command that was killed
                folder.rename(gone)
                shutil.rmtree(gone)

    def load(self, release: Release, store: Store, timeout: float) -> None:
        """Load the missing versions of a release, and check that each model answers with its id.

        Raises ServedCopyError and StateError.
        """
        # The log may have failures of an earlier release with the same number.
        failed = {name: self._failures(name, graph) for name, graph in release.graphs.items()}
        for name, graph in release.graphs.items():
            if graph.version not in self.versions(name):
                store.put(graph, self.folder / "model_repository" / name / str(graph.version))
        deadline = time.monotonic() + timeout
        for name, graph in release.graphs.items():
            while not self._ready(name, graph):
                failures = self._failures(name, graph)
                if len(failures) > len(failed[name]):
                    raise ServedCopyError(f"{self.url}: {failures[-1]}")
                if time.monotonic() > deadline:
                    raise ServedCopyError(
                        f"{self.url} did not load version {graph.version} of {name} in time "
                        f"(log: {self.log})"
                    )
                time.sleep(0.1)
            self._probe(name, graph)

    def _failures(self, name: str, graph: Graph) -> list[str]:
        said = f"failed to load '{name}' version {graph.version}"
        try:
            lines = self.log.read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return []  # the file was deleted
        return [line[line.index(said) :] for line in lines if said in line]

    def _ready(self, name: str, graph: Graph) -> bool:
        url = f"{self.url}/v2/models/{name}/versions/{graph.version}/ready"
        try:
            return httpx.get(url, timeout=5, trust_env=False).status_code == 200
        except httpx.TransportError:
            return False  # the server is starting

    def _probe(self, name: str, graph: Graph) -> None:
        # These imports take 20 MB, which `aurum up` does not need.
        import numpy as np  # noqa: PLC0415
        import tritonclient.http as triton  # noqa: PLC0415

        tensor, shape = _PROBES[name]
        given = triton.InferInput(tensor, list(shape), "UINT8")
        given.set_data_from_numpy(np.zeros(shape, np.uint8))
        try:
            with triton.InferenceServerClient(self.url.partition("://")[2]) as client:
                answer = client.infer(name, [given], model_version=str(graph.version))
        except (triton.InferenceServerException, OSError) as error:
            raise ServedCopyError(
                f"{self.url}: {name} of {graph.id} does not answer: {error}"
            ) from error
        said = answer.as_numpy("model").reshape(-1)[0].decode()
        if said != graph.id:
            raise ServedCopyError(f"{self.url}: {name} answers with {said} instead of {graph.id}")


def servers(settings: Settings) -> list[Running]:
    """List the running servers of these repositories."""
    found = []
    for path in sorted((settings.rollout / "live").glob("*.json")):
        if is_held(lock_path(path)):  # the server runs, so its card is current
            with suppress(FileNotFoundError):  # it is just stopping
                content: Mapping[str, str] = json.loads(path.read_text())
                found.append(Running(content["url"], Path(content["folder"]), Path(content["log"])))
    return found


def _versions(model: Path) -> set[int]:
    """List a model's versions. Raises ServedCopyError if its folder was removed."""
    try:
        return {int(path.name) for path in model.iterdir() if path.name.isdecimal()}
    except FileNotFoundError:
        raise ServedCopyError(f"{model}, which a server serves, is missing") from None
