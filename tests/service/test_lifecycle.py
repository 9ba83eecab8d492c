"""`aurum up` as a person or a supervisor runs it: start, failures to start, drain, stop."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import httpx
import psutil
import pytest
from aurum_client import FaceClient

from aurum.models import build
from aurum.server.private import copy_repositories, on_free_ports
from aurum.server.server import Server, ServerError
from aurum.settings import Settings

AURUM = Path(sys.executable).with_name("aurum")


@pytest.fixture
def settings(tmp_path):
    """The simulated profile on free ports, on repositories of its own."""
    settings = replace(Settings.from_env(), profile="simulated", repositories=tmp_path)
    copy_repositories(tmp_path)
    return on_free_ports(settings)


class Up:
    """A running `aurum up`, whose output is read as it comes."""

    def __init__(self, settings: Settings, **environment: str) -> None:
        self.process = subprocess.Popen(
            [AURUM, "up"],
            env={**os.environ, **settings.to_env(), **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self.lines: list[str] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        self.lines.extend(iter(self.process.stdout.readline, ""))

    @property
    def text(self) -> str:
        return "".join(self.lines)

    def wait_for(self, words: str) -> None:
        for _ in range(1200):
            if words in self.text:
                return
            assert self.process.poll() is None, self.text
            time.sleep(0.05)
        raise AssertionError(self.text)

    def end(self) -> int:
        code = self.process.wait(timeout=90)
        self._reader.join()
        self.process.stdout.close()
        return code


@pytest.fixture
def up(settings):
    started: list[Up] = []

    def start(changed: Settings = settings, **environment: str) -> Up:
        started.append(Up(changed, **environment))
        return started[-1]

    yield start
    for item in started:
        if item.process.poll() is None:
            item.process.terminate()
        item.end()


def test_it_says_what_is_ready_and_ctrl_c_stops_everything(up, settings):
    running = up()
    running.wait_for("is ready")
    running.wait_for("Ctrl-C")
    for word in (settings.http_url, settings.grpc_url, "simulated_detector@", "SIMULATED"):
        assert word in running.text
    page = f"http://127.0.0.1:{settings.playground_port}"
    assert page in running.text
    assert "playground" in httpx.get(page, trust_env=False).text
    children = psutil.Process(running.process.pid).children(recursive=True)
    assert len(children) == 5  # tritonserver and a process for each model and step
    running.process.send_signal(signal.SIGINT)
    assert running.end() == 0
    assert "stopped" in running.text
    # They are dead by now; init, which inherits the stubs, may take a moment to bury them.
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


def test_asked_twice_it_waits_for_nobody(up, settings):
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
    assert "yunet_s_dynamic.onnx cannot be had" in running.text


def test_a_taken_port_is_named(up, settings):
    with socket.socket() as other:
        other.bind(("127.0.0.1", settings.grpc_port))
        other.listen()
        running = up()
        assert running.end() == 1
    assert f"port {settings.grpc_port}" in running.text
    assert "AURUM_GRPC_PORT" in running.text


def test_a_wrong_setting_is_named(up):
    running = up(AURUM_DETECTION_SIZE="100")
    assert running.end() == 2
    assert "AURUM_DETECTION_SIZE='100': must be a multiple of 32" in running.text


def test_a_named_profile_that_can_not_be_had_is_no_silent_fallback(up, settings, tmp_path):
    nowhere = replace(settings, profile="edgeface-xs", offline=True, model_cache=tmp_path / "empty")
    running = up(nowhere, AURUM_MODEL_MIRROR="")
    assert running.end() == 1
    assert "yunet_s_dynamic.onnx cannot be had" in running.text


def test_when_tritonserver_dies_it_says_so_and_fails(up, settings):
    with socket.create_server(("127.0.0.1", settings.playground_port)):
        running = up()
        running.wait_for("Ctrl-C")
    assert "(the wanted port is taken)" in running.text  # which is no reason not to serve
    (server,) = psutil.Process(running.process.pid).children()
    stubs = server.children()
    server.kill()
    assert running.end() == 1
    assert "tritonserver ended" in running.text
    gone, alive = psutil.wait_procs(stubs, timeout=10)
    assert len(gone) == len(stubs) == 4  # two models, two steps
    assert not alive


@pytest.mark.parametrize("damage", [b"", b"not an ONNX graph"])
def test_a_corrupt_model_never_becomes_ready_and_the_reason_is_told(settings, damage):
    build.install(build.prepare(settings), settings.repositories / "model_repository")
    model = settings.repositories / "model_repository" / "face_embedding" / "1" / "model.onnx"
    model.write_bytes(damage)
    with (
        pytest.raises(ServerError, match=r"failed to load 'face_embedding'.*model\.onnx"),
        Server(settings) as server,
    ):
        server.wait_ready()


def test_a_corrupt_installed_graph_is_mended_at_the_next_start(settings):
    repository = settings.repositories / "model_repository"
    prepared = build.prepare(settings)
    build.install(prepared, repository)
    model = repository / "face_embedding" / "1" / "model.onnx"
    model.write_bytes(b"damaged")
    build.install(prepared, repository)
    assert build.identity(model) == prepared.ids["face_embedding"]
