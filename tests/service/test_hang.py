"""Processes that live and yet hang are noticed; a server that is only busy is left alone."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import psutil
import pytest
from aurum_client import AurumError, FaceClient
from waiting import eventually

from aurum.server.hang import PATIENCE
from benchmarks.robustness.failures import PARTS, Clients, part

# Photos that the step below never finishes: in Python, whose other threads go on, and in C, whose
# don't.
LOOPS = {"loop": b"an endless loop", "lock": b"an endless loop in C"}
STEP = f"""
import re
from aurum.pipeline.steps import LargestFace

class TritonPythonModel(LargestFace):
    def answer(self, call, record):
        while call.image == {LOOPS["loop"]!r}:
            pass
        if call.image == {LOOPS["lock"]!r}:
            re.match("(a+)+$", 60 * "a" + "b")
        return super().answer(call, record)
"""


# Each of 8 photos at a time takes CPU time as long as others let it have none of Python's lock.
BUSY = f"""
import time
from aurum.pipeline.steps import LargestFace

class TritonPythonModel(LargestFace):
    def answer(self, call, record):
        end = time.thread_time() + {2 * PATIENCE / 8}
        while time.thread_time() < end:
            pass
        return super().answer(call, record)
"""


def replace_step(settings, code: str) -> None:
    step = settings.repositories / "python_backends" / "largest_face" / "1" / "model.py"
    step.write_text(code)


def is_started_anew(running, hangs: str | tuple[str, ...]) -> None:
    eventually(lambda: "the server answers again, after " in running.text)
    (said,) = [line for line in running.text.splitlines() if "hang" in line]
    assert said.startswith(hangs)


@pytest.mark.parametrize("name", PARTS)
def test_a_stopped_process_is_noticed_and_clients_that_try_again_lose_nothing(up, settings, name):
    running = up()
    running.wait_for("Ctrl-C")
    with Clients(settings) as clients:
        eventually(lambda: len(clients.seconds) > 10)
        part(running.process.pid, name).suspend()
        # Where tritonserver stops, its steps may be missed first.
        either = ("tritonserver", "the process of ")
        is_started_anew(running, either if name == "tritonserver" else either[1])
        answered = len(clients.seconds)
        eventually(lambda: len(clients.seconds) > answered + 10)
    assert clients.errors == []


def test_a_stopped_step_is_noticed_where_nobody_asks(up):
    running = up()
    running.wait_for("Ctrl-C")
    part(running.process.pid, "largest_face").suspend()
    is_started_anew(running, "the process of largest_face hangs")


@pytest.mark.parametrize("kind", LOOPS)
def test_an_endless_loop_is_noticed(up, settings, astronaut, kind):
    replace_step(settings, STEP)
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
    is_started_anew(running, "the process of largest_face hangs")
    asking.join()
    with FaceClient(settings.http_url, timeout=60) as client:
        client.embed(astronaut)


def test_a_busy_server_is_no_hang(up, settings, astronaut):
    """Its step's threads compute, one at a time, and no photo ends before they all do."""
    replace_step(settings, BUSY)
    running = up()
    running.wait_for("Ctrl-C")
    server = part(running.process.pid, "tritonserver")
    with (
        FaceClient(settings.grpc_url, timeout=300, retries=0) as client,
        ThreadPoolExecutor(24) as pool,
    ):
        assert len(list(pool.map(client.embed, [astronaut] * 24))) == 24
    assert server.is_running()
    assert "hang" not in running.text


def test_a_machine_that_was_suspended_has_not_hung(up, settings, astronaut):
    """A freeze may kill what held a lock (docs/design/failures.md): then, too, it answers again."""
    running = up()
    running.wait_for("Ctrl-C")
    root = psutil.Process(running.process.pid)
    with Clients(settings) as clients:
        eventually(lambda: len(clients.seconds) > 10)
        frozen = [root, *root.children(recursive=True)]
        for process in frozen:
            process.suspend()
        with pytest.raises(httpx.TimeoutException):  # as long as nobody may take for a hang
            httpx.get(f"{settings.http_url}/v2/health/live", timeout=12, trust_env=False)
        for process in reversed(frozen):
            process.resume()
        answered = len(clients.seconds)
        eventually(lambda: len(clients.seconds) > answered + 10)
    assert clients.errors == []
    assert "hang" not in running.text
