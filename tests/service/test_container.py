"""The container's entry point, here with the wheel's tritonserver in place of NVIDIA's."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace

import httpx
from aurum_client import AurumError, FaceClient

from aurum.models import build
from aurum.server import runtime
from aurum.server.private import copy_repositories, on_free_ports
from aurum.settings import Settings


def test_it_serves_closes_apis_and_finishes_what_is_in_flight(tmp_path, astronaut):
    settings = replace(Settings.from_env(), profile="simulated")
    settings = replace(on_free_ports(settings), repositories=copy_repositories(tmp_path / "r"))
    build.install(build.prepare(settings), tmp_path / "r" / "model_repository")
    runtime.assemble_backends(tmp_path / "backends")
    environment = runtime.environment(settings)
    environment["PATH"] = f"{runtime.tritonserver_home() / 'bin'}{os.pathsep}{environment['PATH']}"
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "aurum.server.container",
            f"--backend-directory={tmp_path}/backends",
        ],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        with FaceClient(settings.http_url, timeout=60, retries=0) as client:
            while True:
                try:
                    client.analyze(astronaut)
                    break
                except AurumError:
                    assert process.poll() is None
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
    finally:
        process.kill()
        process.wait()
