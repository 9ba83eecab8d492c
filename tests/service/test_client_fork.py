"""The Python client in forked children, with real forks, against a real server."""

from __future__ import annotations

import subprocess
import sys

import pytest

from aurum.paths import PHOTO

HEAD = f"""
import asyncio, multiprocessing, os, sys, threading, warnings
from aurum_client import AsyncFaceClient, FaceClient, ForkedProcessError
warnings.simplefilter("ignore", DeprecationWarning)  # Python 3.12 warns of forks beside threads
URL, PHOTO = sys.argv[1], {str(PHOTO)!r}

def child(work, leave=os._exit):
    pid = os.fork()
    if pid == 0:
        try:
            print(work(), flush=True)
        except BaseException as error:
            print(type(error).__name__, str(error)[:60], flush=True)
        leave(0)
    assert os.waitpid(pid, 0)[1] == 0
"""

SYNC = """
client = FaceClient(URL, timeout=60)
ask = lambda: len(client.detect(PHOTO))
"""


def run(code: str, url: str) -> list[str]:
    """Run a program and return its lines; a hang ends at the tests' time limit."""
    command = [sys.executable, "-c", HEAD + code, url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout.splitlines()


def test_a_client_that_was_made_before_the_fork_works_in_the_child(simulated):
    assert run(SYNC + "child(ask); print(ask())", simulated.urls[0]) == ["1", "1"]


@pytest.mark.parametrize("leave", ["os._exit", "sys.exit"])
def test_a_client_that_was_used_before_the_fork_works_on_both_sides(simulated, leave):
    """A child that ends as programs do finalizes what it has, but not the parent's connections."""
    code = f"print(ask())\nfor _ in range(3): child(ask, {leave}); print(ask())"
    assert run(SYNC + code, simulated.urls[0]) == ["1"] * 7


def test_a_child_that_does_not_use_the_client_leaves_the_parents_alone(simulated):
    code = "print(ask()); child(lambda: 'idle', sys.exit); print(ask())"
    assert run(SYNC + code, simulated.urls[0]) == ["1", "idle", "1"]


def test_a_child_of_a_child_works(simulated):
    code = "print(ask()); child(lambda: (ask(), child(ask)))"
    assert run(SYNC + code, simulated.urls[0]) == ["1", "1", "(1, None)"]


def test_a_child_may_close_its_client_and_a_closed_one_stays_closed(simulated):
    code = (
        "print(ask()); child(lambda: (ask(), client.close())); print(ask())\n"
        "client.close(); child(ask)"
    )
    lines = run(SYNC + code, simulated.urls[0])
    assert lines == ["1", "(1, None)", "1", "ClientClosedError the client is closed"]


def test_the_workers_of_multiprocessing_share_a_client_by_fork(simulated):
    code = (
        "print(ask())\n"
        "def work(number): return ask()\n"
        "fork = multiprocessing.get_context('fork')\n"
        "with fork.Pool(2) as pool: print(pool.map(work, range(6)))\n"
        "print(ask())"
    )
    assert run(SYNC + code, simulated.urls[0]) == ["1", "[1, 1, 1, 1, 1, 1]", "1"]


def test_a_fork_during_calls_of_other_threads_disturbs_neither_side(simulated):
    code = """
done, errors = threading.Event(), []
def work():
    while not done.is_set():
        try: ask()
        except Exception as error: errors.append(error)
threads = [threading.Thread(target=work) for _ in range(3)]
print(ask())
for thread in threads: thread.start()
for _ in range(4): child(ask, sys.exit)
done.set()
for thread in threads: thread.join()
print(ask(), errors)
"""
    assert run(SYNC + code, simulated.urls[0]) == ["1"] * 5 + ["1 []"]


def test_an_asynchronous_client_works_in_the_loop_of_the_child(simulated):
    code = """
client = AsyncFaceClient(URL, timeout=60)
async def ask(): return len(await client.detect(PHOTO))
print(asyncio.run(ask()))
child(lambda: asyncio.run(ask()), sys.exit)
"""
    assert run(code, simulated.urls[0]) == ["1", "1"]


REFUSED = "ForkedProcessError gRPC cannot be used in a process that was forked after its p"


def test_grpc_in_a_child_is_refused_at_once_if_the_parent_used_it(simulated):
    """Another client, or the parent's own, even closed; the parent's goes on."""
    code = (
        "print(ask()); child(ask); child(lambda: FaceClient(URL).detect(PHOTO)); print(ask())\n"
        "client.close(); child(lambda: FaceClient(URL).detect(PHOTO))"
    )
    assert run(SYNC + code, simulated.urls[1]) == ["1", REFUSED, REFUSED, "1", REFUSED]


def test_grpc_in_a_child_works_if_the_parent_did_not_use_it(simulated):
    assert run(SYNC + "child(ask); print(ask())", simulated.urls[1]) == ["1", "1"]


def test_http_in_a_child_works_if_the_parent_used_grpc(simulated):
    code = (
        "\nother = FaceClient(sys.argv[1].split()[1]); print(len(other.detect(PHOTO))); child(ask)"
    )
    urls = " ".join(simulated.urls)
    assert run(SYNC.replace("URL", "URL.split()[0]") + code, urls) == ["1", "1"]
