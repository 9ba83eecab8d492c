"""Starting real servers for tests, on free ports and on repositories of their own."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from aurum.models import build
from aurum.models.build import Prepared
from aurum.server.free_ports import on_free_ports
from aurum.server.runtime import REPOSITORIES
from aurum.server.server import Server
from aurum.settings import CHECKOUT, Settings


@dataclass(frozen=True)
class Service:
    """A running server and what it serves."""

    server: Server
    prepared: Prepared

    @property
    def settings(self) -> Settings:
        return self.server.settings

    @property
    def urls(self) -> tuple[str, str]:
        return self.settings.http_url, self.settings.grpc_url


def copy_repositories(target: Path) -> Path:
    """The three repositories without built graphs, to serve other graphs than the checkout's."""
    for name in REPOSITORIES:
        shutil.copytree(
            CHECKOUT / name, target / name, ignore=shutil.ignore_patterns("*.onnx", "__pycache__")
        )
    return target


@contextmanager
def running(settings: Settings, folder: Path) -> Iterator[Service]:
    settings = replace(on_free_ports(settings), repositories=copy_repositories(folder))
    prepared = build.prepare(settings)
    build.install(prepared, folder / "model_repository")
    with Server(settings) as server:
        server.wait_ready()
        yield Service(server, prepared)
