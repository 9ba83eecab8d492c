"""A fake client in place of the service, and a folder of photos."""

import pytest
from cli_fakes import FakeClient

from aurum import cli


@pytest.fixture
def client(monkeypatch):
    """The client that the commands under test get."""
    for name in ("AURUM_URL", "AURUM_HTTP_PORT"):
        monkeypatch.delenv(name, raising=False)
    fake = FakeClient()

    def connect(url):
        fake.url = url
        return fake

    monkeypatch.setattr(cli, "connect", connect)
    return fake


@pytest.fixture
def folder(tmp_path):
    """Three photos and some files that a search for photos skips."""
    folder = tmp_path / "photos"
    for name in ("b.jpg", "a.PNG", "sub/c.webp", ".hidden.jpg", ".thumbs/d.jpg", "notes.txt"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return folder
