"""What is used of newer releases of Triton, and left off for older ones."""

import pytest
from google.protobuf import text_format
from tritonclient.grpc.model_config_pb2 import ModelConfig

from aurum.kernels import Choice
from aurum.server import runtime, triton_version
from aurum.settings import Settings

IMAGE = (2, 75)  # release 26.11, of the Dockerfile
LIMIT = "--http-max-input-size"


def flags(version, **settings):
    return runtime.flags(Settings(**settings), Choice("", reason="a test"), version=version)


def test_the_version_is_that_of_nvidias_image(monkeypatch):
    monkeypatch.setenv("TRITON_SERVER_VERSION", "2.75.0")
    assert triton_version.version() == IMAGE
    monkeypatch.setenv("TRITON_SERVER_VERSION", "")
    assert triton_version.version() == triton_version.EMBEDDED


def test_the_embedded_server_gets_no_flag_that_it_does_not_know():
    given = flags(triton_version.EMBEDDED)
    assert not [flag for flag in given if flag.startswith(LIMIT)]
    assert "--metrics-config=summary_latencies=true" in given
    assert triton_version.additions(triton_version.EMBEDDED, step=True) == ""


def test_a_newer_server_measures_latencies_as_histograms():
    given = flags(IMAGE)
    assert "--metrics-config=histogram_latencies=true" in given
    assert not [flag for flag in given if "summary" in flag]
    added = triton_version.additions(IMAGE, step=False)
    assert "nv_inference_first_response_histogram_ms" in added
    assert " 100," in added  # the target, to tell what is above it


@pytest.mark.parametrize(
    ("largest", "limit"), [(25_000_000, 64 << 20), (100_000_000, 100_000_000 + 65_536)]
)
def test_a_photo_that_is_allowed_passes_the_limit_of_a_newer_server(largest, limit):
    given = flags(IMAGE, max_image_bytes=largest)
    assert f"{LIMIT}={limit}" in given


def test_queues_of_steps_are_bounded_from_the_release_whose_batcher_does_not_stall():
    assert "max_queue_size" not in triton_version.additions((2, 71), step=True)
    assert "max_queue_size" not in triton_version.additions(IMAGE, step=False)
    added = triton_version.additions((2, 72), step=True).splitlines()[-1]
    config = text_format.Parse(added, ModelConfig())
    # Above the gateway's limits, which refuse first.
    both = 2 * Settings().gateway_server_connections
    assert config.dynamic_batching.default_queue_policy.max_queue_size == both


def test_the_image_adds_to_the_configurations_of_pipelines_and_steps(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TRITON_SERVER_VERSION", "2.75.0")
    paths = [tmp_path / name / "config.pbtxt" for name in ("ensembles/a", "python_backends/b")]
    for path in paths:
        path.parent.mkdir(parents=True)
        path.write_text("max_batch_size: 0\n")
    triton_version.main(tmp_path)
    assert capsys.readouterr().out == "aurum: configured for Triton 2.75\n"
    for path, step in zip(paths, (False, True), strict=True):
        assert path.read_text() == "max_batch_size: 0\n" + triton_version.additions(IMAGE, step)
