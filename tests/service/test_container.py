"""The container's entry point, with the wheel's tritonserver in place of NVIDIA's."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import httpx
import psutil
import pytest
from aurum_client import AurumError, FaceClient
from waiting import eventually

from aurum.contract import STEP
from aurum.server import runtime
from aurum.server.container import ALIVE
from aurum.server.ephemeral import prepare_repositories
from aurum.settings import Settings
from benchmarks.common import processes

Container = tuple[Settings, subprocess.Popen[str]]


@pytest.fixture
def container(tmp_path, astronaut) -> Iterator[Container]:
    """The settings and the running process, once it answers."""
    settings, _ = prepare_repositories(
        replace(Settings.from_env(), profile="simulated"), tmp_path / "r"
    )
    runtime.assemble_backends(tmp_path / "backends")
    environment = runtime.environment(settings)
    environment["PATH"] = f"{runtime.tritonserver_home() / 'bin'}{os.pathsep}{environment['PATH']}"
    with (tmp_path / "errors").open("w+") as errors:
        process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "aurum.server.container",
                f"--backend-directory={tmp_path}/backends",
            ],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            text=True,
        )
        try:
            with FaceClient(settings.http_url, timeout=60, retries=0) as client:
                while True:
                    try:
                        client.analyze(astronaut)
                        break
                    except AurumError:
                        assert process.poll() is None
            yield settings, process
        finally:
            process.kill()
            process.wait()


def test_it_serves_closes_other_apis_and_finishes_requests_in_flight(container, astronaut):
    settings, process = container
    with FaceClient(settings.http_url, timeout=60, retries=0) as client:
        index = f"{settings.http_url}/v2/repository/index"
        assert httpx.post(index, trust_env=False).status_code == 403
        answers = []

        def ask() -> None:
            answers.append(client.analyze(astronaut, detection_size=1280, min_confidence=0))

        threads = [threading.Thread(target=ask) for _ in range(12)]
        for thread in threads:
            thread.start()
        client.detect(astronaut)  # by now the others have arrived
        process.send_signal(signal.SIGTERM)
        for thread in threads:
            thread.join()
    assert len(answers) == 12
    assert process.wait(timeout=60) == 0


def test_it_ends_when_a_python_process_dies_so_that_the_engine_restarts_it(container, tmp_path):
    _, process = container
    (server,) = psutil.Process(process.pid).children()
    children = [server, *server.children()]
    next(child for child in children if processes.name(child) == STEP).kill()
    assert process.wait(timeout=60) == 1
    assert f"aurum: the process of {STEP} died" in (tmp_path / "errors").read_text()
    assert not psutil.wait_procs(children, timeout=10)[1]


def test_it_ends_when_a_process_hangs_and_reports_liveness_until_then(container, tmp_path):
    _, process = container
    before = time.time()
    eventually(lambda: ALIVE.stat().st_mtime > before)
    (server,) = psutil.Process(process.pid).children()
    next(child for child in server.children() if processes.name(child) == STEP).suspend()
    assert process.wait(timeout=60) == 1
    assert f"aurum: the process of {STEP} hangs" in (tmp_path / "errors").read_text()


@pytest.mark.parametrize("gone", ["face_embedding/1/model.onnx", "face_landmarks"])
def test_a_missing_graph_gives_an_exit_code_and_one_line(tmp_path, gone):
    settings, _ = prepare_repositories(
        replace(Settings.from_env(), profile="simulated"), tmp_path / "r"
    )
    path = tmp_path / "r" / "model_repository" / gone
    path.unlink() if path.is_file() else shutil.rmtree(path)
    ended = subprocess.run(
        [sys.executable, "-m", "aurum.server.container"],
        env={**os.environ, **settings.to_env()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"aurum: {tmp_path}/r/model_repository/{gone.split('/')[0]}")
    assert "`aurum models build`" in line
