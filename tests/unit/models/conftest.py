"""A server with one model file, and settings with an empty cache to pull it into."""

import pytest
from http_server import serving

from aurum.models import download
from aurum.settings import Settings


@pytest.fixture
def site():
    with serving() as server:
        yield server


@pytest.fixture
def settings(tmp_path):
    download._unreachable.clear()
    return Settings(model_cache=tmp_path / "cache", model_mirror="", profile="auto")
