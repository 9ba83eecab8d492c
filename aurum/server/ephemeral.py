"""Throwaway servers on free ports with copied repositories, for validation, tests, benchmarks."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from aurum import contract
from aurum.contract import REPOSITORIES
from aurum.models import build
from aurum.models.build import BuiltProfile
from aurum.paths import DATA
from aurum.server import installation
from aurum.server.server import Server
from aurum.settings import Settings


@dataclass(frozen=True)
class Service:
    """A running server and what it serves."""

    server: Server
    prepared: BuiltProfile

    @property
    def settings(self) -> Settings:
        """The server's settings."""
        return self.server.settings

    @property
    def urls(self) -> tuple[str, str]:
        """HTTP and gRPC addresses."""
        return self.settings.http_url, self.settings.grpc_url


def free_ports(count: int) -> list[int]:
    """Find free ports; all are held until the last one is chosen."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for item in sockets:
            item.bind(("127.0.0.1", 0))
        return [item.getsockname()[1] for item in sockets]
    finally:
        for item in sockets:
            item.close()


def on_free_ports(settings: Settings) -> Settings:
    """Return the settings with free ports."""
    http, grpc, metrics, playground = free_ports(4)
    return replace(
        settings,
        http_port=http,
        grpc_port=grpc,
        metrics_port=metrics,
        playground_port=playground,
    )


def copy_repositories(target: Path) -> Path:
    """Copy the three repositories without built graphs, to serve other graphs than the checkout."""
    for name in REPOSITORIES:
        shutil.copytree(
            DATA / name, target / name, ignore=shutil.ignore_patterns("*.onnx", "__pycache__")
        )
    return target


def prepare_repositories(settings: Settings, folder: Path) -> tuple[Settings, BuiltProfile]:
    """Copy the repositories to `folder`, install the graphs of `settings`, and choose free ports.

    Returns the settings of a server for these copies, and the profile that it will serve.
    """
    installation.complete(settings)  # before the graphs: those with kernels need the library
    prepared = build.prepare(settings)
    return _lay_out(prepared.graphs, settings, folder), prepared


def _lay_out(graphs: Mapping[str, Path], settings: Settings, folder: Path) -> Settings:
    settings = replace(on_free_ports(settings), repositories=copy_repositories(folder))
    build.install_graphs(graphs, folder / "model_repository")
    return settings


def add_model(repositories: Path, name: str, config: str, code: str) -> None:
    """Add a model of Triton's Python backend to copies of the repositories."""
    version = repositories / "python_backends" / name / "1"
    version.mkdir(parents=True)
    (version.parent / "config.pbtxt").write_text(config)
    (version / "model.py").write_text(code)


@contextmanager
def running(settings: Settings, folder: Path) -> Iterator[Service]:
    """Build the graphs of `settings`, serve them from copies in `folder`, and wait until ready."""
    settings, prepared = prepare_repositories(settings, folder)
    with _started(settings) as server:
        yield Service(server, prepared)


@contextmanager
def serving(graphs: Mapping[str, Path], settings: Settings, folder: Path) -> Iterator[Server]:
    """Like `running`, for graphs by served name; `face_liveness` is added if it is served."""
    installation.complete(settings)
    if settings.liveness:
        graphs = {**graphs, contract.LIVENESS: build.prepare_liveness(settings)[0]}
    with _started(_lay_out(graphs, settings, folder)) as server:
        yield server


@contextmanager
def _started(settings: Settings) -> Iterator[Server]:
    with Server(settings) as server:
        server.wait_ready()
        yield server
