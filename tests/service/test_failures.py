"""Processes die and servers stop: no client that retries loses a request.

Times are recorded (``pytest --junit-xml``, or -s), not checked. Other failures and their tests
are listed in docs/design/failures.md.
"""

from __future__ import annotations

import json
import signal
import threading
import time
from collections.abc import Callable
from dataclasses import replace

import psutil
import pytest
from aurum_client import AurumError, FaceClient
from up_process import Up
from waiting import eventually

from aurum.server import runtime
from aurum.server.server import Server
from benchmarks.robustness.failures import PARTS, Clients, kill


def more(clients: Clients, count: int = 10) -> None:
    """Wait for this many more answers."""
    wanted = len(clients.seconds) + count
    eventually(lambda: len(clients.seconds) >= wanted or clients.errors)


def json_log(settings) -> list[dict]:
    """The JSON lines of the log."""
    lines = Server(settings).log.read_text().splitlines()
    return [json.loads(line) for line in lines if line[0] == "{"]


def regions(settings) -> int:
    return len(runtime.shared_memory(settings))


def kill_servers_until(running: Up, enough: Callable[[int], bool]) -> None:
    """kill -9 each new tritonserver until the number of killed ones is `enough`."""
    killed = set()

    def kill_the_next() -> bool:
        for child in psutil.Process(running.process.pid).children():
            if child.pid not in killed:
                killed.add(child.pid)
                child.kill()
        return enough(len(killed))

    eventually(kill_the_next)


@pytest.mark.parametrize("name", PARTS)
def test_a_killed_process_is_replaced_and_clients_lose_nothing(up, settings, record_figure, name):
    running = up()
    running.wait_for("Ctrl-C")
    shared = regions(settings)
    before = psutil.Process(running.process.pid).children(recursive=True)
    with Clients(settings) as clients:
        more(clients)
        seconds = kill(running.process.pid, name, settings)
        record_figure(f"seconds until it answers after kill -9 of {name}", f"{seconds:.1f}")
        more(clients)
    record_figure("requests", len(clients.seconds))
    record_figure("slowest request, s", f"{max(clients.seconds):.1f}")
    assert clients.errors == []
    (death,) = [line for line in running.text.splitlines() if "died" in line or "ended" in line]
    if name == "tritonserver":
        assert death == "tritonserver ended (killed by SIGKILL)"
    else:
        # If it held a lock of the memory that it shares with tritonserver, Triton 2.51 aborts too,
        # about one time in 30 (docs/design/failures.md).
        assert death in (
            f"the process of {name} died",
            "tritonserver ended (killed by SIGABRT)",
            "tritonserver ended (killed by SIGABRT: lock_exception)",
        )
    assert running.text.count("the server answers again, after ") == 1
    events = json_log(settings)
    assert "recovered" in [event["event"] for event in events]
    # Nothing of the dead processes remains, nor of their shared memory.
    assert not psutil.wait_procs(before, timeout=10)[1]
    assert regions(settings) == shared > 0
    running.process.send_signal(signal.SIGINT)
    assert running.end() == 0
    assert regions(settings) == 0


def test_a_server_that_keeps_dying_is_given_up(up, record_figure):
    running = up()
    running.wait_for("Ctrl-C")
    start = time.monotonic()
    kill_servers_until(running, lambda killed: killed == 5)
    assert running.end() == 1
    record_figure("seconds until it was given up", f"{time.monotonic() - start:.1f}")
    assert "restarting it in 2 s" in running.text
    assert "the server died 5 times in a row; the last reason: tritonserver ended" in running.text


@pytest.mark.parametrize("moment", ["restarting it", "restarting it in 2 s"])
def test_ctrl_c_works_while_it_recovers(up, settings, moment):
    running = up()
    running.wait_for("Ctrl-C")
    kill_servers_until(running, lambda killed: moment in running.text)
    running.process.send_signal(signal.SIGINT)
    assert running.end() == 0
    assert "stopped" in running.text
    assert regions(settings) == 0


def test_a_stop_under_load_answers_all_accepted_requests(up, settings, record_figure, astronaut):
    """Accepted are those that a pipeline has begun; later ones get an error that can be retried."""
    running = up(replace(settings, request_log="all"))
    running.wait_for("Ctrl-C")
    answered: set[str] = set()
    errors: list[AurumError] = []

    def ask(number: int) -> None:
        url = (settings.http_url, settings.grpc_url)[number % 2]
        with FaceClient(url, timeout=60, retries=0) as client:
            for index in range(10_000):
                name = f"{number}-{index}"
                try:
                    client.analyze(astronaut, request_id=name, detection_size=1280)
                    answered.add(name)
                except AurumError as error:
                    errors.append(error)
                    if running.process.poll() is not None:
                        return

    threads = [threading.Thread(target=ask, args=[number]) for number in range(24)]
    for thread in threads:
        thread.start()
    eventually(lambda: len(answered) > 30)
    start, before = time.monotonic(), len(answered)
    running.process.send_signal(signal.SIGTERM)
    assert running.end() == 0
    record_figure("seconds from SIGTERM to the end", f"{time.monotonic() - start:.1f}")
    for thread in threads:
        thread.join()
    record_figure("answered, of these after SIGTERM", (len(answered), len(answered) - before))
    lines = json_log(settings)
    record_figure("refused by the step", sum(line["code"] == "unavailable" for line in lines))
    # Without those of the probes, whose ids have no hyphen.
    ids = {str(line.get("request_id")) for line in lines if line["code"] == "ok"}
    begun = {name for name in ids if "-" in name}
    assert {line["code"] for line in lines} <= {"ok", "unavailable"}
    assert {line.get("message") for line in lines} <= {None, "the server is stopping"}
    assert begun == answered
    assert [error for error in errors if not error.retryable] == []
