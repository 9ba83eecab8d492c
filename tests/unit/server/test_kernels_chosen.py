"""Which graphs a server starts with: those with our kernels or the plain ones, and why."""

import shutil
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
from google.protobuf import text_format
from graphs import ENTRIES, weights
from tritonclient.grpc.model_config_pb2 import ModelConfig
from typer.testing import CliRunner

from aurum import kernels
from aurum.cli.app import app
from aurum.contract import MODELS
from aurum.kernels import Choice, Support, beside
from aurum.models import build
from aurum.paths import CHECKOUT
from aurum.server import container
from aurum.settings import Settings

REPOSITORY = CHECKOUT / "model_repository"
HERE = kernels.find()
needs_kernels = pytest.mark.skipif(not HERE.name, reason=HERE.reason)


@pytest.mark.parametrize("name", MODELS)
def test_the_configurations_differ_only_in_the_graph_and_its_operators(name):
    plain, fast = (
        text_format.Parse((REPOSITORY / name / path).read_text(), ModelConfig())
        for path in ("config.pbtxt", "configs/kernels.pbtxt")
    )
    assert fast.default_model_filename == beside(Path("model.onnx")).name
    assert list(fast.model_operations.op_library_filename) == [kernels.OPERATORS.name]
    fast.ClearField("default_model_filename")
    fast.ClearField("model_operations")
    assert fast == plain
    gpu = (REPOSITORY / name / "configs" / "gpu.pbtxt").read_text()
    assert "kernels" not in gpu


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """Two models with plain graphs and graphs with kernels, on a processor that supports them."""
    monkeypatch.setattr(kernels, "find", lambda: Support("some kernels"))
    for model in ("a", "b"):
        configs = tmp_path / model / "configs"
        configs.mkdir(parents=True)
        (configs / "kernels.pbtxt").touch()
        put(tmp_path / model / "1", f"plain {model}".encode())
    return tmp_path


def put(folder, plain, mark=None):
    folder.mkdir(exist_ok=True)
    path = folder / "model.onnx"
    path.write_bytes(plain)
    made = onnx.ModelProto()
    onnx.helper.set_model_props(made, {kernels.MARK: mark or kernels.files.sha256(path)})
    beside(path).write_bytes(made.SerializeToString())


def choose(repository, **settings):
    return kernels.choose(replace(Settings(), **settings), repository, ("a", "b"))


def test_graphs_with_kernels_are_served_where_they_run(repository):
    chosen = choose(repository)
    assert chosen == Choice("some kernels", ("a", "b"))
    assert str(chosen) == "some kernels: a, b"
    assert chosen.flags == ["--model-config-name=kernels"]


def test_a_model_without_kernels_is_served_as_it_is(repository):
    shutil.copy(
        repository / "a" / "1" / "model.onnx", beside(repository / "a" / "1" / "model.onnx")
    )
    assert choose(repository) == Choice("some kernels", ("b",))
    shutil.copy(
        repository / "b" / "1" / "model.onnx", beside(repository / "b" / "1" / "model.onnx")
    )
    # A rollout may add models that have kernels.
    assert choose(repository).flags == ["--model-config-name=kernels"]
    assert str(choose(repository)) == "some kernels: none of these models"


def test_kernels_can_be_switched_off(repository):
    chosen = choose(repository, kernels="off")
    assert chosen.flags == []
    assert str(chosen) == "none: AURUM_KERNELS=off"


def test_an_unsuitable_processor_or_library_is_the_reason(repository, monkeypatch, tmp_path):
    monkeypatch.setattr(kernels, "find", lambda: Support("", "a reason"))
    assert str(choose(repository)) == "none: a reason"
    monkeypatch.undo()
    monkeypatch.setattr(kernels, "OPERATORS", tmp_path / "none.so")
    assert kernels.find() == Support("", f"{tmp_path}/none.so is not compiled (run `make setup`)")
    (tmp_path / "none.so").write_bytes(b"no library")
    assert "can't be loaded: " in kernels.find().reason


@pytest.mark.parametrize("wrong", ["missing", "of another", "no configuration", "replaced"])
def test_graphs_that_do_not_match_are_not_served_with_kernels(repository, wrong):
    plain = repository / "b" / "1" / "model.onnx"
    if wrong == "missing":
        beside(plain).unlink()
    elif wrong == "of another":
        put(repository / "b" / "2", b"plain", "0" * 64)
    elif wrong == "replaced":
        plain.write_bytes(b"somebody's own")
    else:
        (repository / "b" / "configs" / "kernels.pbtxt").unlink()
    chosen = choose(repository)
    assert chosen.flags == []
    assert str(repository / "b") in chosen.reason or chosen.reason.startswith("b has no")


def test_a_container_with_gpu_flags_serves_the_plain_graphs(repository):
    settings = replace(Settings(), repositories=repository)
    chosen = container.choose_kernels(settings, ["--model-config-name=gpu"])
    assert (chosen.flags, chosen.reason) == ([], "the flags name other configurations")


@needs_kernels
def test_a_build_makes_and_installs_both_graphs(tmp_path):
    settings = replace(Settings(), model_cache=tmp_path / "cache")
    said = []
    entry = ENTRIES["yunet_s_dynamic"]
    path, identity = build.build(
        "face_detection", entry, weights(entry.file), settings, said.append
    )
    assert said[-1].startswith("checking parity of face_detection (with our kernels) with yunet_s")
    assert build.identity(beside(path)) == identity
    said.clear()
    build.build("face_detection", entry, weights(entry.file), settings, said.append)
    assert not said, "both are cached"
    build.install_graphs({"face_detection": path}, tmp_path)
    configs = tmp_path / "face_detection" / "configs"
    shutil.copytree(REPOSITORY / "face_detection" / "configs", configs)
    assert kernels.choose(settings, tmp_path, ["face_detection"]).models == ("face_detection",)
    beside(path).unlink()
    build.install_graphs({"face_detection": path}, tmp_path)
    assert not list(tmp_path.glob("face_detection/1/*.kernels.onnx")), (
        "graphs of an older build are removed"
    )


@needs_kernels
def test_a_simulated_model_has_no_kernels(tmp_path):
    settings = replace(Settings(), model_cache=tmp_path)
    entry = ENTRIES["simulated_embedder"]
    path, _ = build.build("face_embedding", entry, None, settings, lambda line: None)
    assert beside(path).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(("value", "said"), [("off", "none: AURUM_KERNELS=off"), ("auto", "")])
def test_doctor_says_which_kernels_run(monkeypatch, value, said):
    monkeypatch.setenv("AURUM_KERNELS", value)
    result = CliRunner().invoke(app, ["doctor"])
    line = next(line for line in result.output.splitlines() if "kernels: " in line)
    assert (said or HERE.name or "none: ") in line
