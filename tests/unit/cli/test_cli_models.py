import hashlib
import re
from dataclasses import replace

import pytest
from typer.testing import CliRunner

from aurum.cli.app import app
from aurum.models import build, manifest, measured, parity, pull
from aurum.models.build import BuiltProfile
from aurum.models.manifest import Manifest
from aurum.models.toml_table import ManifestError

CONTENTS = {"small_detector": b"a detector", "small_embedder": b"an embedder"}
REAL = manifest.load()


def small(name, template, **fields):
    content = CONTENTS[name]
    return replace(
        REAL.models[template],
        name=name,
        file=f"{name}.onnx",
        sha256=hashlib.sha256(content).hexdigest(),
        bytes=len(content),
        urls=(),
        **fields,
    )


@pytest.fixture
def content(monkeypatch):
    """A manifest of two small models and the real simulated profile."""
    detector = small("small_detector", "yunet_s_dynamic")
    embedder = small("small_embedder", "edgeface_xs_q", licence="the licence of nobody")
    profile = replace(
        REAL.profiles["edgeface-xs"], name="small", detector=detector, embedder=embedder
    )
    simulated = REAL.profiles["simulated"]
    models = {model.name: model for model in (detector, embedder, *simulated.models)}
    content = Manifest(models, {"small": profile, "simulated": simulated}, ("small",))
    monkeypatch.setattr(manifest, "load", lambda: content)
    return content


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("AURUM_MODEL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("AURUM_MODEL_MIRROR", str(tmp_path / "mirror"))
    monkeypatch.delenv("AURUM_PROFILE", raising=False)
    monkeypatch.setenv("COLUMNS", "300")  # so that table cells don't wrap
    (tmp_path / "cache").mkdir()
    (tmp_path / "mirror").mkdir()
    return tmp_path / "cache"


@pytest.fixture
def mirror(cache):
    folder = cache.parent / "mirror"
    for name, data in CONTENTS.items():
        (folder / f"{name}.onnx").write_bytes(data)
    return folder


def run(*arguments):
    return CliRunner().invoke(app, ["models", *arguments])


def cells(result, name):
    """The cells of the table row that begins with `name`."""
    rows = [re.split(r"\s{2,}", line.strip()) for line in result.stdout.splitlines()]
    return next(row for cell, *row in rows if cell == name)


def test_list(content, cache):
    (cache / "small_detector.onnx").write_bytes(CONTENTS["small_detector"])
    (cache / "small_embedder.onnx").write_bytes(b"something else")

    result = run("list")

    assert result.exit_code == 0, result.output
    assert cells(result, "small") == [
        *("small_detector", "small_embedder", "unclear", "no", "-", "-", "-", "-")
    ]
    assert cells(result, "simulated")[3] == "yes"  # nothing to pull
    assert "-: not measured" in result.stdout
    assert cells(result, "small_detector")[2] == "ok"
    assert cells(result, "small_embedder") == [
        *("embedder", "0.0", "corrupt", "unclear", "the licence of nobody")
    ]
    assert str(cache) in result.stdout


def test_list_shows_what_was_measured_of_the_profiles_weights(cache):
    figures = measured.load()

    result = run("list")

    shown = measured.cells(figures["edgeface-xs"])
    assert tuple(cells(result, "edgeface-xs")[4:]) == shown
    assert shown[0] != measured.NOT_MEASURED
    assert cells(result, "auraface")[4:] == ["-"] * 4


def test_pull_gets_the_configured_profile(content, cache, mirror):
    result = run("pull")

    assert result.exit_code == 0, result.output
    assert "profile small" in result.stdout
    for name, data in CONTENTS.items():
        assert (cache / f"{name}.onnx").read_bytes() == data
        assert f"{name}: {cache / name}.onnx" in result.stdout
        assert f"- getting {name}.onnx ({len(data)} bytes)" in result.stderr


def test_pull_gets_only_what_is_named(content, cache, mirror):
    result = run("pull", "small_embedder", "simulated")

    assert result.exit_code == 0, result.output
    assert [path.name for path in cache.glob("*.onnx")] == ["small_embedder.onnx"]
    assert "simulated_detector: simulated, has no file" in result.stdout


def test_pull_continues_after_an_unavailable_file(content, cache, mirror):
    (mirror / "small_detector.onnx").unlink()

    result = run("pull", "small")

    assert result.exit_code == 1
    assert "small_detector.onnx is unavailable" in result.stderr
    assert "AURUM_MODEL_MIRROR" in result.stderr
    assert (cache / "small_embedder.onnx").is_file()


def test_pull_of_auto_says_why_nothing_is_available(content, cache):
    result = run("pull")

    assert result.exit_code == 1
    assert result.stderr.strip().startswith("aurum: no profile of auto is available:")
    assert "small_detector.onnx is unavailable" in result.stderr


@pytest.mark.parametrize("command", ["pull", "verify"])
def test_an_unknown_name_is_a_usage_error(content, cache, command):
    result = run(command, "nothing")

    assert result.exit_code == 2
    assert "'nothing'; there are: auto, small, simulated, small_detector" in result.stderr


def test_verify(content, cache):
    assert run("verify").exit_code == 0  # nothing is cached, so nothing is wrong
    assert run("verify", "small").exit_code == 1  # a named model must be cached

    for name, data in CONTENTS.items():
        (cache / f"{name}.onnx").write_bytes(data)
    result = run("verify", "small")
    assert result.exit_code == 0
    assert result.stdout.split() == ["ok", "small_detector.onnx", "ok", "small_embedder.onnx"]

    (cache / "small_detector.onnx").write_bytes(b"damaged")
    result = run("verify")
    assert result.exit_code == 1
    assert "corrupt  small_detector.onnx" in result.stdout


def test_a_bad_manifest_is_one_message(cache, monkeypatch):
    def load():
        raise ManifestError("models.toml: it is all wrong")

    monkeypatch.setattr(manifest, "load", load)

    result = run("list")

    assert result.exit_code == 1
    assert result.stderr == "aurum: models.toml: it is all wrong\n"


def test_build_installs_the_prepared_graphs(content, cache, monkeypatch, tmp_path):
    graph = tmp_path / "graph.onnx"
    graph.write_bytes(b"graph")

    def prepare(settings, progress, say):
        progress("file", 1, 2)
        say("building")
        ids = {"face_detection": "simulated_detector@123456789abc"}
        failures = {"small": "it is gone"}
        return BuiltProfile(content.profiles["simulated"], {"face_detection": graph}, ids, failures)

    monkeypatch.setattr(build, "prepare", prepare)

    result = run("build", "--repository", str(tmp_path / "repository"))

    assert result.exit_code == 0, result.output
    installed = tmp_path / "repository" / "face_detection" / "1" / "model.onnx"
    assert installed.read_bytes() == b"graph"
    assert "profile simulated" in result.stdout
    assert "face_detection: simulated_detector@123456789abc" in result.stdout
    assert "SIMULATED" in result.stderr
    assert "small is unavailable: it is gone" in result.stderr


@pytest.mark.parametrize("error", [pull.PullError("no file"), parity.ParityError("not equal")])
def test_build_reports_failures(content, cache, monkeypatch, error):
    def prepare(*_):
        raise error

    monkeypatch.setattr(build, "prepare", prepare)

    result = run("build")

    assert result.exit_code == 1
    assert f"aurum: {error}\n" in result.stderr
