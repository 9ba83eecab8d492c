"""Servers of their own, for tests and benchmarks: on free ports, over copied repositories."""

from __future__ import annotations

import shutil
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from aurum.models import build
from aurum.models.build import BuiltProfile
from aurum.paths import DATA
from aurum.server import installation
from aurum.server.runtime import REPOSITORIES
from aurum.server.server import Server
from aurum.settings import Settings


@dataclass(frozen=True)
class Service:
    """A running server and what it serves."""

    server: Server
    prepared: BuiltProfile

    @property
    def settings(self) -> Settings:
        """What the server was started with."""
        return self.server.settings

    @property
    def urls(self) -> tuple[str, str]:
        """Addresses of HTTP and of gRPC."""
        return self.settings.http_url, self.settings.grpc_url


def free_ports(count: int) -> list[int]:
    """Ports that nobody uses: all are held until the last is chosen."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for item in sockets:
            item.bind(("127.0.0.1", 0))
        return [item.getsockname()[1] for item in sockets]
    finally:
        for item in sockets:
            item.close()


def on_free_ports(settings: Settings) -> Settings:
    """The settings with ports that nobody uses."""
    http, grpc, metrics, playground = free_ports(4)
    return replace(
        settings,
        http_port=http,
        grpc_port=grpc,
        metrics_port=metrics,
        playground_port=playground,
    )


def copy_repositories(target: Path) -> Path:
    """The three repositories without built graphs, to serve other graphs than the checkout's."""
    for name in REPOSITORIES:
        shutil.copytree(
            DATA / name, target / name, ignore=shutil.ignore_patterns("*.onnx", "__pycache__")
        )
    return target


def prepare_repositories(settings: Settings, folder: Path) -> tuple[Settings, BuiltProfile]:
    """Copies of the repositories in `folder`, with the graphs of `settings`; free ports for them.

    Gives the settings of a server that is to serve them, and what it will serve.
    """
    prepared = build.prepare(settings)
    return _prepare_repositories(prepared.graphs, settings, folder), prepared


def _prepare_repositories(graphs: Mapping[str, Path], settings: Settings, folder: Path) -> Settings:
    installation.complete(settings)
    settings = replace(on_free_ports(settings), repositories=copy_repositories(folder))
    build.install_graphs(graphs, folder / "model_repository")
    return settings


def add_model(repositories: Path, name: str, config: str, code: str) -> None:
    """Put one model more of Triton's Python backend into copies of the repositories."""
    version = repositories / "python_backends" / name / "1"
    version.mkdir(parents=True)
    (version.parent / "config.pbtxt").write_text(config)
    (version / "model.py").write_text(code)


@contextmanager
def running(settings: Settings, folder: Path) -> Iterator[Service]:
    """Build the graphs of `settings`, serve them from copies in `folder`, and wait until ready."""
    prepared = build.prepare(settings)
    with serving(prepared.graphs, settings, folder) as server:
        yield Service(server, prepared)


@contextmanager
def serving(graphs: Mapping[str, Path], settings: Settings, folder: Path) -> Iterator[Server]:
    """As `running`, of graphs by served name."""
    settings = _prepare_repositories(graphs, settings, folder)
    with Server(settings) as server:
        server.wait_ready()
        yield server
