"""`aurum up` as a person or a supervisor runs it: start, failed starts, drain, stop."""

import os
import signal
import socket
import threading
import time
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
import pytest
from aurum_client import FaceClient

from aurum.models import build
from aurum.server import runtime
from aurum.server.server import Server, ServerError


def test_it_reports_readiness_and_ctrl_c_stops_everything(up, settings):
    running = up()
    running.wait_for("- starting Triton")  # outside a terminal, where no spinner turns
    running.wait_for("is ready")
    running.wait_for("Ctrl-C")
    for word in (settings.http_url, settings.grpc_url, "simulated_detector@", "SIMULATED"):
        assert word in running.text
    page = f"http://127.0.0.1:{settings.playground_port}"
    assert page in running.text
    assert "playground" in httpx.get(page, trust_env=False).text
    children = psutil.Process(running.process.pid).children(recursive=True)
    assert len(children) == 3  # tritonserver, each_face twice
    cores = psutil.Process().cpu_affinity()
    places = sorted(child.cpu_affinity() for child in children)
    if runtime.host_policies(cores):
        middle = len(cores) // 2
        assert places == sorted([cores, cores[:middle], cores[middle:]])
    else:
        assert places == [cores] * 3
    running.process.send_signal(signal.SIGINT)
    assert running.end() == 0
    assert "stopped" in running.text
    # They are dead by now; init, which adopts the stubs, may take a moment to reap them.
    assert not psutil.wait_procs(children, timeout=10)[1]


def test_requests_in_flight_are_answered_before_it_stops(up, settings, astronaut):
    running = up()
    running.wait_for("is ready")
    answers = []

    def ask(url):
        with FaceClient(url, timeout=60, retries=0) as client:
            answers.append(client.analyze(astronaut, detection_size=1280, min_confidence=0))

    page = f"http://127.0.0.1:{settings.playground_port}"
    urls = [settings.grpc_url, page] * 6
    threads = [threading.Thread(target=ask, args=[url]) for url in urls]
    for thread in threads:
        thread.start()
    for url in (settings.http_url, page):
        with FaceClient(url) as client:
            client.detect(astronaut)  # by now the others have arrived
    running.process.send_signal(signal.SIGTERM)
    for thread in threads:
        thread.join()
    assert len(answers) == 12
    assert running.end() == 0


def test_a_second_ctrl_c_stops_without_waiting(up, settings):
    running = up()
    running.wait_for("Ctrl-C")
    with socket.create_connection(("127.0.0.1", settings.playground_port)) as slow:
        head = "POST /v2/models/detect_faces/infer HTTP/1.1\r\nHost: localhost\r\n"
        slow.sendall(f"{head}Content-Length: 1000\r\nExpect: 100-continue\r\n\r\n".encode())
        assert slow.recv(1024).startswith(b"HTTP/1.1 100 ")  # now it is in flight
        running.process.send_signal(signal.SIGINT)
        running.wait_for("draining")
        time.sleep(0.5)
        assert running.process.poll() is None  # it waits for that request
        running.process.send_signal(signal.SIGINT)
        assert running.end() == 0
    assert "stopped" in running.text
    assert "Traceback" not in running.text


def test_without_weights_it_serves_simulated_models_and_says_so_in_capitals(up, settings, tmp_path):
    nowhere = replace(settings, profile="auto", offline=True, model_cache=tmp_path / "empty")
    running = up(nowhere, AURUM_MODEL_MIRROR="", AURUM_PLAYGROUND="0")
    running.wait_for("Ctrl-C")
    assert "playground" not in running.text
    assert "SIMULATED MODELS: EVERY FACE AND EMBEDDING BELOW IS MADE UP" in running.text
    assert "TO GET THE REAL MODELS" in running.text
    assert "yunet_s_dynamic.onnx is unavailable" in running.text


def test_a_taken_port_is_named(up, settings):
    with socket.socket() as other:
        other.bind(("127.0.0.1", settings.grpc_port))
        other.listen()
        running = up()
        assert running.end() == 1
    assert f"port {settings.grpc_port}" in running.text
    assert "AURUM_GRPC_PORT" in running.text


def test_an_invalid_setting_is_named(up):
    running = up(AURUM_DETECTION_SIZE="100")
    assert running.end() == 2
    assert "AURUM_DETECTION_SIZE='100': must be a multiple of 32" in running.text


def test_an_unavailable_named_profile_has_no_silent_fallback(up, settings, tmp_path):
    nowhere = replace(settings, profile="edgeface-xs", offline=True, model_cache=tmp_path / "empty")
    running = up(nowhere, AURUM_MODEL_MIRROR="")
    assert running.end() == 1
    assert "yunet_s_dynamic.onnx is unavailable" in running.text


def _detector(embedder: Path) -> bytes:
    return (embedder.parents[2] / "face_detection" / "1" / "model.onnx").read_bytes()


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda model: b"", "can't load"),
        (lambda model: b"not an ONNX graph", "can't load"),
        (lambda model: model.read_bytes()[: model.stat().st_size // 2], "can't load"),
        (_detector, r"has inputs \[images\], its configuration \[crops\]"),
    ],
    ids=["empty", "garbage", "truncated", "swapped"],
)
def test_a_corrupt_model_never_becomes_ready_and_the_reason_is_reported(settings, damage, reason):
    """What a rollout and a pull do with such files is in test_rollout.py and test_pull.py."""
    build.install(build.prepare(settings), settings.repositories / "model_repository")
    model = settings.repositories / "model_repository" / "face_embedding" / "1" / "model.onnx"
    model.write_bytes(damage(model))
    with (
        pytest.raises(
            ServerError,
            match=rf"failed to load 'face_embedding'.*model\.onnx.*{reason}|"
            rf"failed to load 'face_embedding'.*{reason}.*model\.onnx",
        ),
        Server(settings) as server,
    ):
        server.wait_ready()


def test_a_corrupt_installed_graph_is_fixed_at_the_next_start(settings):
    repository = settings.repositories / "model_repository"
    prepared = build.prepare(settings)
    build.install(prepared, repository)
    model = repository / "face_embedding" / "1" / "model.onnx"
    model.write_bytes(b"damaged")
    build.install(prepared, repository)
    assert build.identity(model) == prepared.ids["face_embedding"]


def test_starting_a_server_runs_no_fork_handlers(settings):
    """gRPC's would start threads in the child, which a server that starts again often died of."""
    build.install(build.prepare(settings), settings.repositories / "model_repository")
    forks: list[int] = []
    os.register_at_fork(before=lambda: forks.append(1))
    with Server(settings) as server:
        assert server.running
    assert not forks
