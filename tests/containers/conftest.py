"""The service as docs/guides/deployment.md has it, in containers of an engine of our own."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import engine as engines
import pytest
import stand_ins
from project import Project

from aurum.paths import CHECKOUT, PHOTO


@pytest.fixture(scope="session")
def engine() -> Iterator[engines.Engine]:
    compose = os.environ.get("AURUM_TEST_COMPOSE")
    if not compose:
        pytest.skip("run these by `make test-containers`, which installs Docker and Compose")
    if kept := os.environ.get("AURUM_TEST_ENGINE"):  # the folder of one that runs, to save its time
        yield engines.Engine(Path(kept))
        return
    # A short path: dockerd's sockets are in it.
    folder = Path(tempfile.mkdtemp(prefix="aurum-docker-"))
    with ExitStack() as stack:
        try:
            made = stack.enter_context(engines.running(folder, Path(compose)))
        except engines.CannotRunError as error:
            pytest.skip(f"no Docker engine can run here: {error}")
        yield made


@pytest.fixture(scope="session")
def images(engine: engines.Engine, tmp_path_factory: pytest.TempPathFactory) -> engines.Engine:
    """An engine that has all base images."""
    if not engine.out("images", "-q"):
        stand_ins.make(engine, tmp_path_factory.mktemp("stand-ins"))
    return engine


@pytest.fixture(scope="session")
def project(images: engines.Engine) -> Iterator[Project]:
    """A checkout of its own in which the documented commands were run; the service answers."""
    # Not below pytest's own folder, into which the containers' users could not look.
    folder = Path(tempfile.mkdtemp(prefix="aurum-checkout-"))
    folder.chmod(0o755)
    made = Project(images, folder)
    made.furnish()
    page = (CHECKOUT / "docs/guides/deployment.md").read_text()
    (block,) = (
        text
        for text in re.findall(r"^```sh\n(.*?)^```$", page, re.M | re.S)
        if "docker compose up -d --wait" in text and "make setup" in text
    )
    try:
        made.follow(block)
        yield made
    finally:
        made.compose("--profile", "logs", "down", "-v", check=False)
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def astronaut() -> bytes:
    """512x512, one face."""
    return PHOTO.read_bytes()
