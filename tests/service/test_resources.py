"""Memory that the service keeps after a thousand requests."""

import os
from dataclasses import replace

import psutil
import pytest
from aurum_client import FaceClient

from aurum.server import runtime
from aurum.server.ephemeral import running
from aurum.settings import Settings
from benchmarks.common import processes


@pytest.fixture
def untraced(monkeypatch, tmp_path):
    """Its own server, without coverage measurement."""
    for name in os.environ:
        if name.startswith("COVERAGE"):
            monkeypatch.delenv(name)
    with running(Settings.from_env(), tmp_path) as service:
        yield service


def test_the_supervisor_keeps_no_memory_of_building_models(up, settings, tmp_path, monkeypatch):
    """As after a first start, when all graphs are built from their files and checked."""
    for name in [name for name in os.environ if name.startswith("COVERAGE")]:
        monkeypatch.delenv(name)
    first = replace(settings, profile=Settings.from_env().profile, model_cache=tmp_path / "cache")
    running = up(first, AURUM_PLAYGROUND="1")
    running.wait_for("Ctrl-C")
    assert any((tmp_path / "cache" / "served").iterdir())
    mine = psutil.Process(running.process.pid).memory_full_info().pss / processes.MEGABYTE
    print(f"PSS of aurum up after a start that built models: {mine:.0f} MB")
    assert mine < 110


def shared_memory(settings):
    """The bytes of memory that a server shares with its Python processes."""
    return sum(path.stat().st_size for path in runtime.shared_memory(settings))


def test_memory_is_bounded_after_a_thousand_requests(untraced, astronaut):
    photos = [astronaut] * 9 + [b"not a photo"]
    pid = untraced.server.pid
    with FaceClient(untraced.urls[1], timeout=120) as client:
        client.analyze_many(photos * 20, concurrency=16)
        shared = shared_memory(untraced.settings)
        results = client.analyze_many(photos * 100, concurrency=16)
    assert sum(isinstance(item, Exception) for item in results) == 100
    # Triton enlarges a region by a mebibyte when more requests than before meet in it,
    # which may happen late. A leak of only 10 kB a request would be more than a step each.
    steps = 1 + len(psutil.Process(pid).children(recursive=True))
    assert 0 < shared_memory(untraced.settings) <= shared + steps * 2**20
    total = sum(processes.pss(pid).values())
    print(f"PSS of all processes after 1,200 requests: {total:.0f} MB")
    assert total < 500
