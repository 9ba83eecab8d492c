"""Real servers for the tests: the best profile that can be had, and the simulated one."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from aurum_client import FaceClient

from aurum.models import build
from aurum.models.build import Prepared
from aurum.models.prove import PHOTO
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
    http, grpc, metrics = free_ports(3)
    return replace(settings, http_port=http, grpc_port=grpc, metrics_port=metrics)


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


@pytest.fixture(scope="session")
def best(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """The default profile; the simulated one where no weights can be had."""
    with running(Settings.from_env(), tmp_path_factory.mktemp("best")) as service:
        yield service


@pytest.fixture(scope="session")
def simulated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = replace(Settings.from_env(), profile="simulated")
    with running(settings, tmp_path_factory.mktemp("simulated")) as service:
        yield service


@pytest.fixture(params=["best", "simulated"])
def service(request: pytest.FixtureRequest) -> Service:
    """Contract tests run against both: no test may depend on which models answer."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def real(best: Service) -> Service:
    """The default profile, for tests of accuracy."""
    if best.prepared.simulated:
        pytest.skip("no weights: AURUM_MODEL_MIRROR has no real models (docs/models.md)")
    return best


@pytest.fixture(params=["http", "grpc"])
def client(request: pytest.FixtureRequest, service: Service) -> Iterator[FaceClient]:
    url = service.urls[0 if request.param == "http" else 1]
    with FaceClient(url, timeout=60) as client:
        yield client


@pytest.fixture(scope="session")
def astronaut() -> bytes:
    """512x512, one face."""
    return PHOTO.read_bytes()


@pytest.fixture(scope="session")
def photos() -> Path:
    """Group photos: the folder that AURUM_TEST_PHOTOS names."""
    folder = os.environ.get("AURUM_TEST_PHOTOS") or CHECKOUT.parent / "shared" / "photos"
    if not Path(folder).is_dir():
        pytest.skip("no group photos: set AURUM_TEST_PHOTOS to a folder that has them")
    return Path(folder)
