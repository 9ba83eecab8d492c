import json
import os
import shutil
import socket
import sys
from collections import namedtuple
from dataclasses import replace

import pytest
from aurum_client import ConnectionFailedError, Health, ModelIds, ModelInfo
from typer.testing import CliRunner

from aurum.cli.app import app
from aurum.doctor import checks, ports
from aurum.doctor.checks import Result
from aurum.models import manifest
from aurum.server import preflight, runtime
from aurum.settings import Settings

CONTENT = manifest.load()
Usage = namedtuple("Usage", "total used free")


class FakeClient:
    def __init__(self, health, ids=(None, None)):
        self._health = health
        self._ids = ids

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def health(self, *, timeout):
        return self._health

    def models(self, *, timeout):
        names = ("face_detection", "face_embedding")
        return [
            ModelInfo(name, ("1",), True, (), (), id)
            for name, id in zip(names, self._ids, strict=True)
        ]


def only(check, settings):
    (result,) = check(settings)
    return result


@pytest.fixture
def settings(tmp_path):
    return Settings(model_cache=tmp_path, profile="edgeface-xs")


@pytest.fixture
def taken_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def run(*arguments):
    return CliRunner().invoke(app, ["doctor", *arguments])


def results(*statuses):
    return [Result(f"check {status}", status, f"it is {status}", "mend") for status in statuses]


@pytest.mark.parametrize(
    ("found", "code"), [(("ok", "warn"), 0), (("ok", "fail", "warn"), 1), ((), 0)]
)
def test_exit_code_and_json(monkeypatch, found, code):
    monkeypatch.setattr(checks, "examine", lambda settings: results(*found))

    result = run("--json")

    assert result.exit_code == code
    answer = json.loads(result.stdout)
    assert answer["ok"] == (code == 0)
    assert [check["status"] for check in answer["checks"]] == list(found)
    assert all(set(check) == {"name", "status", "detail", "mend"} for check in answer["checks"])


def test_the_output_is_readable(monkeypatch):
    monkeypatch.setattr(checks, "examine", lambda settings: [Result("a", "fail", "[b]", "do c")])

    assert run().stdout.splitlines() == ["fail  a: [b]", "      do c"]


def test_a_check_that_raises_is_a_failed_check(monkeypatch, settings):
    def broken(settings):
        yield Result("cache", "ok", "so far")
        raise KeyError("surprise")

    monkeypatch.setattr(checks, "cache", broken)

    found = checks.examine(settings)

    (failed,) = [result for result in found if "itself failed" in result.detail]
    assert (failed.name, failed.status) == ("cache", "fail")
    assert "KeyError: 'surprise'" in failed.detail
    assert Result("cache", "ok", "so far") in found
    assert {"Python", "commercial use", "metrics port"} <= {result.name for result in found}


def test_an_old_python_fails(monkeypatch, settings):
    assert only(checks.python, settings).status == "ok"
    monkeypatch.setattr(sys, "version_info", (3, 10, 4))
    result = only(checks.python, settings)
    assert result.status == "fail"
    assert "3.10.4 is older than 3.11" in result.detail


def test_a_package_that_cannot_be_imported_fails(monkeypatch, settings):
    monkeypatch.setitem(sys.modules, "cv2", None)

    found = {result.name: result for result in checks.packages(settings)}

    assert found["package cv2"].status == "fail"
    assert "opencv-python-headless" in found["package cv2"].fix
    assert found["package onnx"].status == "ok"


def test_missing_parts_of_triton_fail(monkeypatch, settings):
    def missing():
        raise runtime.RuntimeMissingError("apt-get install libpython3.11")

    monkeypatch.setattr(runtime, "find_libpython", missing)

    found = {result.name: result for result in checks.triton(settings)}

    assert set(found) == {
        *("tritonserver", "Python backend stub", "libpython"),
        *("ONNX Runtime backend", "onnxruntime library"),
    }
    assert found["libpython"] == Result(
        "libpython", "fail", "missing", "apt-get install libpython3.11"
    )


@pytest.mark.parametrize(("free", "status"), [(500_000_000, "ok"), (499_999_999, "warn")])
def test_space_for_models_is_checked(monkeypatch, settings, free, status):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(1, 1, free))
    nested = replace(settings, model_cache=settings.model_cache / "not" / "yet")

    assert only(checks.cache, nested).status == status


@pytest.mark.parametrize(
    ("total", "status"), [(1 << 30, "ok"), (256 << 20, "warn"), (64 << 20, "fail")]
)
def test_shared_memory_is_checked(monkeypatch, settings, total, status):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(total, 0, total))

    assert only(checks.shared_memory, settings).status == status


def test_folders_that_cannot_be_written_fail(monkeypatch, settings, tmp_path):
    settings = replace(settings, repositories=tmp_path)
    assert only(checks.folders, settings).status == "ok"
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    result = only(checks.folders, settings)
    assert result.status == "fail"
    assert str(tmp_path) in result.detail
    assert "AURUM_REPOSITORIES" in result.fix


def test_an_empty_cache_that_cannot_be_written_fails(monkeypatch, settings, tmp_path):
    monkeypatch.setattr(os, "access", lambda path, mode: path != tmp_path)
    result = only(checks.cache, settings)
    assert (result.status, result.detail) == ("fail", f"{tmp_path} can't be written")
    assert "AURUM_MODEL_CACHE" in result.fix
    (tmp_path / "served").mkdir()
    assert only(checks.cache, settings).status == "ok"


def test_an_environment_below_a_path_that_is_not_ascii_fails(monkeypatch, settings, tmp_path):
    monkeypatch.setattr(sys, "prefix", "/home/zoë/aurum/.venv")
    result = only(checks.folders, replace(settings, repositories=tmp_path))
    assert (result.status, result.fix[:17]) == ("fail", "move the checkout")


def test_no_shared_memory_fails(monkeypatch, settings, tmp_path):
    monkeypatch.setattr(preflight, "SHARED_MEMORY", tmp_path / "none")

    assert only(checks.shared_memory, settings).status == "fail"


def test_model_files_are_checked(settings, tmp_path):
    (tmp_path / "yunet_s_dynamic.onnx").write_bytes(b"damaged")

    found = {result.name: result for result in checks.models(settings)}

    assert found["profile"].status == "ok"
    assert found["model yunet_s_dynamic"].status == "fail"
    assert "corrupt" in found["model yunet_s_dynamic"].detail
    assert found["model edgeface_xs_q"].status == "warn"
    assert "aurum models pull" in found["model edgeface_xs_q"].fix
    assert found["commercial use"].status == "warn"
    assert "unclear" in found["commercial use"].detail


def test_the_simulated_profile_needs_no_files(settings):
    found = {
        result.name: result for result in checks.models(replace(settings, profile="simulated"))
    }

    assert set(found) == {"profile", "commercial use"}
    assert found["profile"].status == "warn"
    assert "SIMULATED" in found["profile"].detail
    assert found["commercial use"].status == "ok"


def test_a_non_commercial_profile_is_reported(settings):
    *_, result = checks.models(replace(settings, profile="scrfd"))

    assert result.status == "warn"
    assert "not allowed for scrfd (scrfd_2.5g_bnkps: InsightFace's terms" in result.detail


def test_an_unknown_profile_fails(settings):
    result = only(checks.models, replace(settings, profile="nothing"))

    assert result.status == "fail"
    assert "'nothing'" in result.detail


def test_auto_is_the_first_cached_profile(settings, monkeypatch):
    auto = replace(settings, profile="auto")
    assert checks.expected_profile(CONTENT, auto).name == CONTENT.auto[0]

    second = CONTENT.profiles[CONTENT.auto[1]]
    monkeypatch.setattr(
        "aurum.models.pull.verify", lambda model, _: "ok" if model in second.models else "missing"
    )
    assert checks.expected_profile(CONTENT, auto) == second


def test_auto_for_commercial_use_is_a_profile_that_allows_it(settings):
    strict = replace(settings, profile="auto", require_commercial=True)
    profile = checks.expected_profile(CONTENT, strict)
    assert (profile.name, profile.commercial_use) == ("auraface", "yes")


def test_a_free_port_passes(settings, taken_port):
    assert not ports.is_free("127.0.0.1", taken_port)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    assert ports.is_free("127.0.0.1", port)


def port_result(monkeypatch, settings, port, health, ids=(None, None)):
    monkeypatch.setattr("aurum_client.FaceClient", lambda url, timeout: FakeClient(health, ids))
    result, *_ = ports.ports(replace(settings, http_port=port))
    return result


def test_the_port_of_our_own_server_passes(monkeypatch, settings, taken_port):
    profile = CONTENT.profiles["edgeface-xs"]
    health = Health(True, True, 0.01, ModelIds(None, None), None)

    result = port_result(
        monkeypatch, settings, taken_port, health, [model.id for model in profile.models]
    )

    assert result.status == "ok"
    assert result.detail.endswith(": our server serves profile edgeface-xs")


def test_the_port_of_our_simulated_server_is_reported(monkeypatch, settings, taken_port):
    health = Health(True, True, 0.01, ModelIds(None, None), None)
    ids = ("simulated_detector@0123456789ab", "simulated_embedder@0123456789ab")

    result = port_result(monkeypatch, settings, taken_port, health, ids)

    assert "profile simulated, SIMULATED" in result.detail


def test_the_port_of_a_starting_server_is_reported(monkeypatch, settings, taken_port):
    health = Health(True, False, None, None, ConnectionFailedError("not yet"))

    result = port_result(monkeypatch, settings, taken_port, health)

    assert result.status == "warn"
    assert "not ready: not yet" in result.detail


def test_the_port_of_another_program_fails(monkeypatch, settings, taken_port):
    health = Health(False, False, None, None, ConnectionFailedError("no HTTP"))

    result = port_result(monkeypatch, settings, taken_port, health)

    assert result.status == "fail"
    assert "taken by another program" in result.detail
    assert "AURUM_HTTP_PORT" in result.fix


def test_an_address_that_is_not_ours_fails(settings):
    found = list(ports.ports(replace(settings, host="192.0.2.1")))

    assert [result.status for result in found] == ["fail"] * 3
    assert "cannot be used" in found[0].detail


def test_unknown_models_are_named():
    models = [ModelInfo("face_detection", ("1",), True, (), (), "other@0123456789ab")]

    assert (
        ports.served(models, CONTENT)
        == "no profile of this manifest: other@0123456789ab and unknown"
    )
