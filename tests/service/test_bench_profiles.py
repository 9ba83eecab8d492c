"""`python -m benchmarks profiles` measures what is here, and says what is not."""

import sys
from dataclasses import replace

import pytest

from aurum.models import manifest, measured
from benchmarks.performance import profiles


@pytest.fixture
def kept(monkeypatch):
    """Instead of the committed file."""
    kept = {}
    monkeypatch.setattr(measured, "load", lambda: dict(kept))
    monkeypatch.setattr(measured, "save", kept.update)
    return kept


def measure(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["profiles", *map(str, arguments)])
    profiles.main()


def test_accuracy_and_cost_of_a_profile(real, people, kept, monkeypatch, tmp_path):
    lfw = tmp_path / "lfw"
    lfw.mkdir()
    (lfw / "images").symlink_to(people / "faces")
    (people / "pairs.txt").rename(lfw / profiles.PAIRS)
    monkeypatch.setattr(profiles, "CHECKOUT", tmp_path)
    monkeypatch.setattr(profiles, "PHOTOS", 5)

    measure(monkeypatch, "--lfw", lfw, "--only", "edgeface-xs")

    found = kept["edgeface-xs"]
    assert measured.of(manifest.load().profiles["edgeface-xs"], kept) == found
    assert (found.accuracy.accuracy, found.accuracy.tar, found.accuracy.pairs) == (1, 1, 4)
    assert found.cost is None

    measure(monkeypatch, "--cost", "--only", "edgeface-xs")

    found, before = kept["edgeface-xs"], found
    assert found == replace(before, cost=found.cost)
    assert found.cost.photos == 5
    assert found.cost.milliseconds > 0
    assert found.cost.megabytes > 50


def test_a_profile_without_files_is_not_measured(kept, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("AURUM_MODEL_MIRROR", str(tmp_path))
    monkeypatch.setenv("AURUM_MODEL_CACHE", str(tmp_path))
    measure(monkeypatch, "--cost", "--only", "auraface", "simulated")
    said = capsys.readouterr().out
    assert "auraface: not measured; yunet_s_dynamic.onnx is unavailable" in said
    assert "simulated: simulated, not measured" in said
    assert kept == {}
