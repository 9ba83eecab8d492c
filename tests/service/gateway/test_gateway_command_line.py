"""The commands that call the service send the gateway's key, which AURUM_API_KEY has."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import bulk_output
import pytest
from gateway_world import World, gateway_for

from aurum.paths import PHOTO
from aurum.server.ephemeral import Service


@pytest.fixture(scope="module")
def world(simulated: Service) -> Iterator[World]:
    with gateway_for(simulated) as world:
        yield world


def aurum(world: World, *arguments: object, key: str, protocol: str = "http", code: int = 0) -> str:
    """Run a command against the gateway with a key; return its errors."""
    url = world.gateway.grpc_url if protocol == "grpc" else world.gateway.url
    done = subprocess.run(
        [Path(sys.executable).with_name("aurum"), *map(str, arguments)],
        env={
            **os.environ,
            "AURUM_URL": url,
            "AURUM_API_KEY": key,
            "SSL_CERT_FILE": str(world.ca),
            "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(world.ca),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert not key or key not in done.stdout + done.stderr
    return done.stderr


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_every_command_sends_the_key(world, tmp_path, protocol):
    photos, out, db = tmp_path / "photos", tmp_path / "out", tmp_path / "db"
    photos.mkdir()
    shutil.copy(PHOTO, photos)
    before = len(world.log())
    for arguments in (
        ("detect", PHOTO),
        ("embed", PHOTO),
        ("compare", PHOTO, PHOTO),
        ("bulk", "run", photos, "--out", out),
        ("faces", "build", out, "--db", db, "--min-quality", 0),
        ("faces", "add", PHOTO, "--id", "eileen", "--db", db, "--min-quality", 0),
        ("faces", "search", PHOTO, "--db", db),
    ):
        aurum(world, *arguments, key=f" {world.key}\r", protocol=protocol)
    lines = world.log()[before:]
    assert {line["key"] for line in lines} == {"test"}
    assert len(lines) >= 8
    assert not bulk_output.files_with(tmp_path, world.key.encode())


@pytest.mark.parametrize("key", ["", "aurum_wrong"])
def test_a_missing_or_wrong_key_is_named_as_the_cause(world, tmp_path, key):
    for arguments in (("embed", PHOTO), ("bulk", "run", PHOTO.parent, "--out", tmp_path / "out")):
        errors = aurum(world, *arguments, key=key, code=3)
        assert "Set AURUM_API_KEY to a key of the gateway" in errors
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("key", ["schl\u00fcssel", "two\nlines"])
def test_a_key_that_cannot_be_sent_is_refused(world, tmp_path, key):
    for arguments in (("embed", PHOTO), ("bulk", "run", PHOTO.parent, "--out", tmp_path / "out")):
        assert "AURUM_API_KEY: a key has only" in aurum(world, *arguments, key=key, code=2)
