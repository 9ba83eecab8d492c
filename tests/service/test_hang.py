"""Hanging processes are detected; a server that is only busy is left alone."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

import httpx
import psutil
import pytest
from aurum_client import AurumError, FaceClient
from waiting import eventually

from aurum.contract import STEP
from aurum.server.hang import PATIENCE
from benchmarks.robustness.failures import PARTS, Clients, part

# Photos that the step below never finishes: in Python, whose other threads go on, and in C,
# whose threads don't.
LOOPS = {"loop": b"an endless loop", "lock": b"an endless loop in C"}
LOOPING = f"""
import re
from aurum.pipeline.steps import EachFace

class TritonPythonModel(EachFace):
    def answer(self, call, record):
        while call.image == {LOOPS["loop"]!r}:
            pass
        if call.image == {LOOPS["lock"]!r}:
            re.match("(a+)+$", 60 * "a" + "b")
        return super().answer(call, record)
"""


# Photos at once in each process; each takes CPU time as long as the others leave it Python's lock.
THREADS = 8
BUSY = f"""
import time
from aurum.pipeline.steps import EachFace

class TritonPythonModel(EachFace):
    def answer(self, call, record):
        end = time.thread_time() + {2 * PATIENCE / THREADS}
        while time.thread_time() < end:
            pass
        return super().answer(call, record)
"""


def replace_step(settings, code: str) -> None:
    step = settings.repositories / "python_backends" / STEP / "1" / "model.py"
    step.write_text(code)


def assert_restarted(running, hangs: str | tuple[str, ...]) -> None:
    eventually(lambda: "the server answers again, after " in running.text)
    (said,) = [line for line in running.text.splitlines() if "hang" in line]
    assert said.startswith(hangs)


@pytest.mark.parametrize("name", PARTS)
def test_a_stopped_process_is_detected_and_clients_that_retry_lose_nothing(up, settings, name):
    running = up()
    running.wait_for("Ctrl-C")
    with Clients(settings) as clients:
        eventually(lambda: len(clients.seconds) > 10)
        part(running.process.pid, name).suspend()
        # If tritonserver is stopped, its step may be reported first.
        either = ("tritonserver", "the process of ")
        assert_restarted(running, either if name == "tritonserver" else either[1])
        answered = len(clients.seconds)
        eventually(lambda: len(clients.seconds) > answered + 10)
    assert clients.errors == []


def test_a_stopped_step_is_detected_without_any_request(up):
    running = up()
    running.wait_for("Ctrl-C")
    part(running.process.pid, STEP).suspend()
    assert_restarted(running, f"the process of {STEP} hangs")


@pytest.mark.parametrize("kind", LOOPS)
def test_an_endless_loop_is_detected(up, settings, astronaut, kind):
    replace_step(settings, LOOPING)
    running = up()
    running.wait_for("Ctrl-C")

    def ask():
        with (
            suppress(AurumError),
            FaceClient(settings.http_url, timeout=60, retries=0) as client,
        ):
            client.embed(LOOPS[kind])

    asking = threading.Thread(target=ask)
    asking.start()
    assert_restarted(running, f"the process of {STEP} hangs")
    asking.join()
    with FaceClient(settings.http_url, timeout=60) as client:
        client.embed(astronaut)


def test_a_busy_server_does_not_count_as_hanging(up, settings, astronaut):
    """Its step's threads compute, one at a time, and no photo ends before all of them do."""
    replace_step(settings, BUSY)
    running = up(replace(settings, pipeline_threads=THREADS))
    running.wait_for("Ctrl-C")
    server = part(running.process.pid, "tritonserver")
    with (
        FaceClient(settings.grpc_url, timeout=300, retries=0) as client,
        ThreadPoolExecutor(24) as pool,
    ):
        assert len(list(pool.map(client.embed, [astronaut] * 24))) == 24
    assert server.is_running()
    assert "hang" not in running.text


def test_a_suspended_machine_does_not_count_as_hanging(up, settings, astronaut):
    """Suspending may kill a holder of a lock (docs/design/failures.md); it recovers then, too."""
    running = up()
    running.wait_for("Ctrl-C")
    root = psutil.Process(running.process.pid)
    with Clients(settings) as clients:
        eventually(lambda: len(clients.seconds) > 10)
        frozen = [root, *root.children(recursive=True)]
        for process in frozen:
            process.suspend()
        with pytest.raises(httpx.TimeoutException):  # longer than any hang may last
            httpx.get(f"{settings.http_url}/v2/health/live", timeout=12, trust_env=False)
        for process in reversed(frozen):
            process.resume()
        answered = len(clients.seconds)
        eventually(lambda: len(clients.seconds) > answered + 10)
    assert clients.errors == []
    assert "hang" not in running.text
